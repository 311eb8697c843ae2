"""Weights outside checkpoints: a file for others, and the start of a run."""
