"""The parts that are measured against a peer: modules with a list PARTS, which `scripts.bench.comparisons` gathers."""
