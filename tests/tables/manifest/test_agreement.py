"""Names that are not there, and keys that exclude each other, are one line."""

from collections.abc import Callable

import pytest

from tests.tables.conftest import MANIFEST

ROWS = "xskip, post_ln, rskip_ln, rskip_ln_3"
XSKIP = "overrides: [skip=xskip]}"
COLUMN = "{name: catalogs, label: En-De catalogs}"
MULTI30K = "label: Multi30k,"
SAME = "{name: again, label: Again, evaluates: catalogs"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: rskip_ln_3", "name: rskip_ln", "rows: two are named rskip_ln"),
        (COLUMN, f"{COLUMN}\n    - {COLUMN}", "columns.test: two are named catalogs"),
        (MULTI30K, f"{MULTI30K} rows: [skip],", "multi30k.rows: no row skip; choose from xskip, post_ln"),
        ("baseline: post_ln", "baseline: post", f"baseline=post: choose one of {ROWS}"),
        (XSKIP, f"{XSKIP[:-1]}, baseline: none}}", f"xskip.baseline=none: choose one of {ROWS}"),
        (MULTI30K, f"{MULTI30K} targets: [skip],", f"multi30k.targets=skip: choose one of {ROWS}"),
        (MULTI30K, f"{MULTI30K} against: xskip,", "multi30k.against: list the rows as targets of the column"),
        (MULTI30K, f"{MULTI30K} evaluates: multi30k,", "multi30k.evaluates=multi30k: choose one of "),
        (MULTI30K, f"{MULTI30K} evaluates: catalogs,", "multi30k.evaluates=catalogs: choose one of "),
        *(
            (COLUMN, f"{COLUMN}\n    - {SAME}, {key}}}", "again.evaluates: such a column has the rows of catalogs")
            for key in ("needs: [data.dir]", "rows: [xskip]", "targets: [xskip]", "search: {optim.lr: [0.1, 0.2]}")
        ),
        (XSKIP, "overrides: [], evaluates: none}", "xskip.evaluates=none: choose one of post_ln, rskip_ln, rskip_ln_3"),
        (XSKIP, "overrides: [], evaluates: xskip}", "xskip.evaluates=xskip: choose one of post_ln"),
        ("{catalogs: {", "{catalog: {", "post_ln.published: no column catalog; choose one of catalogs, multi30k"),
        (XSKIP, f"{XSKIP[:-1]}, only: [digits]}}", "xskip.only: no column digits; choose one of catalogs, multi30k"),
    ],
)
def test_a_mistake_is_one_line(complaint: Callable[[str, str], str], old: str, new: str, said: str) -> None:
    assert said in complaint(old, new)


def test_a_table_with_a_search_has_no_rows_that_evaluate_others(complaint: Callable[[str, str], str]) -> None:
    start, end = MANIFEST.index(COLUMN), MANIFEST.index(XSKIP)
    columns = MANIFEST[start:end].replace(COLUMN, COLUMN[:-1] + ", search: {optim.lr: [0.1, 0.2]}}")
    said = complaint(MANIFEST[start:end] + XSKIP, columns + "overrides: [], evaluates: post_ln}")
    assert "xskip.evaluates: a table with a search cannot have rows that evaluate others" in said
