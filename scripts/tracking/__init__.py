"""W&B from the command line, a command each, and what tracking costs; `skipln.tracking` does the work."""
