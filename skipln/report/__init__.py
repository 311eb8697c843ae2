"""What is shared by whatever is printed: Markdown, LaTeX, comma-separated values."""
