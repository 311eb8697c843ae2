"""The pages made from the sources and the records, one module each, for `make pages` and `make results`."""
