"""What the published runs say of the paper's claims: results/README.md, its picture, and README's opening."""
