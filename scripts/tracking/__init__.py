"""The commands for W&B, and the cost of tracking; `skipln.tracking` does the work."""
