"""Every connection in every kind of net with every norm that is legal; run by `make test-matrix`."""
