"""Measure a GPU in a few minutes: `python -m scripts.bench.gpu --minutes 8 …`; `--take` files the results."""
