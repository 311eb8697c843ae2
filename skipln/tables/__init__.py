"""Tables: a manifest in experiments/ → runs → records in results/ → table, curves, status. No torch.

    python -m skipln.tables run table2 --scale demo --seeds 3

`manifest` says what a table is, `cells` which runs it needs, `runner` makes them, `records` keeps what they gave,
`significance` tests differences, `render` writes every committed file, `status` shows where each run stands.
"""
