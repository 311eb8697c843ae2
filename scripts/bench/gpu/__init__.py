"""What a GPU says in a few minutes: `python -m scripts.bench.gpu --minutes 8 …`, and `--take`, which files it."""
