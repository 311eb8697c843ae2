"""Keys of a manifest that must fit each other."""

from collections.abc import Mapping, Sequence

from skipln.tables.manifest.nodes import Column, Row, Scale


def check_together(baseline: str, rows: Sequence[Row], columns: Mapping[Scale, Sequence[Column]]) -> None:
    """Raise ValueError, one line that says what to choose, for keys that do not fit each other. columns: by scale."""
    every = [column for at_scale in columns.values() for column in at_scale]
    _check_unique("rows", [row.name for row in rows])
    for scale, at_scale in columns.items():
        _check_unique(f"columns.{scale}", [column.name for column in at_scale])
    _check_rows_of_columns(rows, every)
    _check_baselines(baseline, rows)
    _check_targets(rows, every)
    for at_scale in columns.values():
        _check_columns_that_evaluate(rows, at_scale)
    for row in rows:
        _check_row_that_evaluates(row, rows, every)
        _check_columns_of_row(row, every)


def _check_unique(where: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{where}: two are named {name}")


def _check_rows_of_columns(rows: Sequence[Row], columns: Sequence[Column]) -> None:
    names = [row.name for row in rows]
    for column in columns:
        if unknown := [name for name in column.rows or [] if name not in names]:
            raise ValueError(f"{column.name}.rows: no row {unknown[0]}; choose from {', '.join(names)}")


def _check_baselines(baseline: str, rows: Sequence[Row]) -> None:
    names = [row.name for row in rows]
    if baseline not in names:
        raise ValueError(f"baseline={baseline}: choose one of {', '.join(names)}")
    for row in rows:
        if row.baseline is not None and row.baseline not in names:
            raise ValueError(f"{row.name}.baseline={row.baseline}: choose one of {', '.join(names)}")


def _check_targets(rows: Sequence[Row], columns: Sequence[Column]) -> None:
    trained = _trained(rows)
    for column in columns:
        if unknown := [name for name in column.targets if name not in trained]:
            raise ValueError(f"{column.name}.targets={unknown[0]}: choose one of {', '.join(trained)}")
        if column.against is not None:
            raise ValueError(f"{column.name}.against: list the rows as targets of the column that trains them")


def _check_columns_that_evaluate(rows: Sequence[Row], columns: Sequence[Column]) -> None:
    """columns: those of one scale."""
    plain = [column.name for column in columns if not (column.evaluates or column.search or column.targets)]
    for column in (column for column in columns if column.evaluates is not None):
        if column.evaluates not in plain:
            raise ValueError(f"{column.name}.evaluates={column.evaluates}: choose one of {', '.join(plain)}")
        if column.needs or column.rows or column.search or column.targets or len(_trained(rows)) < len(rows):
            raise ValueError(
                f"{column.name}.evaluates: such a column has the rows of {column.evaluates}, which all train, "
                "and needs what it needs: leave out needs, rows, search, targets and rows that evaluate others"
            )


def _check_row_that_evaluates(row: Row, rows: Sequence[Row], columns: Sequence[Column]) -> None:
    if row.evaluates is None:
        return
    if any(column.search for column in columns):
        raise ValueError(f"{row.name}.evaluates: a table with a search cannot have rows that evaluate others")
    if row.evaluates not in (trained := _trained(rows)):
        raise ValueError(f"{row.name}.evaluates={row.evaluates}: choose one of {', '.join(trained)}")


def _check_columns_of_row(row: Row, columns: Sequence[Column]) -> None:
    known = {column.name for column in columns}
    for where, names in (("published", list(row.published)), ("only", row.only or [])):
        for name in names:
            if name not in known:
                raise ValueError(f"{row.name}.{where}: no column {name}; choose one of {', '.join(sorted(known))}")


def _trained(rows: Sequence[Row]) -> list[str]:
    return [row.name for row in rows if row.evaluates is None]
