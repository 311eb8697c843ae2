"""What a reader sees of a table: its text, footnotes, curves and page."""
