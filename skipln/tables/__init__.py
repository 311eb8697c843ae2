"""Tables: a manifest in experiments/ → runs → records → table, curves, status. No torch.

    python -m skipln.tables run table2 --scale demo --seeds 3

`manifest` says what a table is, and `cells` which runs it needs. `runner` makes them, `records` keeps their results in
runs/tables/, and `publishing` moves these to results/. `statistics` tests differences, `presentation` writes what a
reader sees, and `status` shows the state of each run.
"""
