"""What a run may be: its schema, how a configuration is composed and checked, what is said of each key. No torch."""
