"""Compare ours with named peers, which are really run: `make bench`, or `python -m scripts.bench [NAME …] [--n N]`."""
