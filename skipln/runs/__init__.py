"""A run's folder: what it holds, how it is written and how it is read. Never imports torch."""
