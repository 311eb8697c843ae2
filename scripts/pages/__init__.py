"""The pages that are made from the sources and the records: a module each, `make pages` and `make results`."""
