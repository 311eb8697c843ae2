import skipln  # noqa: F401  # Ctrl-C during imports is one line, as of skipln's own commands
