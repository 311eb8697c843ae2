"""Weights outside checkpoints: as a file for others, and as the start of a run."""
