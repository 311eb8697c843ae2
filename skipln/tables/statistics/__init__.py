"""The numbers of a table: means over seeds, and whether a difference is more than chance."""
