"""What the published runs say about the paper's claims: results/README.md, its picture, and README's opening."""
