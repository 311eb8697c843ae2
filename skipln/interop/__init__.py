"""Exchange with other people's tools, which nothing else in this repository needs."""
