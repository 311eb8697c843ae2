"""A run's folder: what it holds, how it is written and how it is read. Nothing here imports torch."""
