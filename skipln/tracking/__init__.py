"""Send run folders to Weights & Biases. Only folders are read; no training imports this, and it needs no torch."""
