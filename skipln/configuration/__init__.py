"""What a run may be: its schema, the composition and check of a configuration, and the help text. No torch."""
