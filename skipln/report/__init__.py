"""The output formats that tables and figures share: Markdown, LaTeX, comma-separated values, SVG."""
