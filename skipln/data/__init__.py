"""Where data comes from, how it is checked, and how it becomes batches."""
