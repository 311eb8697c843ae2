"""Every connection in every kind of net with every legal norm; `make test-matrix` runs this."""
