"""Tables: a manifest in experiments/ → runs → records → table, curves, status. No torch.

    python -m skipln.tables run table2 --scale demo --seeds 3

`manifest` says what a table is, `cells` which runs it needs, `runner` makes them, `records` keeps what they gave in
runs/tables/, `publishing` makes that the published results/, `statistics` tests differences, `presentation` writes
what a reader sees, `status` shows where each run stands.
"""
