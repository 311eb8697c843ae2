"""Pages made from the sources are up to date, and every error line has a remedy."""

import ast
import re

import pytest
import yaml

from scripts.pages import api, costs, readme, troubleshooting
from skipln.system.places import EXPERIMENTS, ROOT
from skipln.tables.manifest import load, names

REMEDY = "make pages"


def test_every_error_line_is_on_the_page_with_a_remedy() -> None:
    page = troubleshooting.PAGE.read_text("utf-8")
    for path, said in troubleshooting.lines().items():
        part = page.split(f"## {troubleshooting.kind_of(path)}\n")[1].split("\n## ")[0]
        for line in said:
            assert f"- {troubleshooting._code(line)}\n" in part, f"{path}: {line}: {REMEDY}"
    assert page == troubleshooting.page(), REMEDY
    with pytest.raises(LookupError, match="say in scripts"):
        troubleshooting.kind_of("skipln/elsewhere.py")


def test_every_advice_belongs_to_existing_error_lines() -> None:
    files = list(troubleshooting.lines())
    for title, paths, advice in troubleshooting.kinds():
        assert len(advice) > 40, title
        for start in paths:
            assert any(path.startswith(start) for path in files), f"{title}: {start} has no error lines"


def test_messages_are_read_with_their_placeholders() -> None:
    source = "raise UserError(f'{path}: {len(x)} lines, {config.data.name}' + ' more') if x else UserError('a ' 'b')"
    source = f"{source}\nraise ValueError('other')"
    assert list(troubleshooting.messages(ast.parse(source))) == ["PATH: … lines, NAME more", "a b"]


def test_every_table_and_scale_has_its_costs() -> None:
    """The hours change with every record, so this test does not check them."""
    rows = re.findall(
        r"^\| (\w+) \| (\w+) \| .* \| (\d+(?: to \d+)?) \| (\d+) \| ~?[<\d].* \| [<\d].* \|$",
        costs.PAGE.read_text(),
        re.M,
    )
    expected = [(name, scale) for name in names() for scale, columns in load(name).columns.items() if columns]
    assert [row[:2] for row in rows] == expected, REMEDY
    text = yaml.safe_load((EXPERIMENTS / "table2.yaml").read_text("utf-8"))
    (demo,) = (row for row in rows if row[:2] == ("table2", "demo"))
    assert int(demo[3]) == sum("only" not in row for row in text["rows"])


def test_costs_follow_from_measurements() -> None:
    """A run recorded on a CPU costs its measured time; another costs its FLOPs over a measured rate of cores."""
    from skipln.system.places import RESULTS
    from skipln.tables.cells import cells
    from skipln.tables.store import read_records

    records = read_records(RESULTS / "demo" / "table2")
    (cell,) = (one for one in cells(load("table2"), "demo", [1]) if one.row.name == "skip")
    own = [one for one in records if one.row == "skip"]
    hours, measured = costs.core_hours(cell, records, {})
    assert measured and hours == pytest.approx(sum(r.train_seconds + r.test_seconds for r in own) / len(own) / 3600)
    rate = costs.rates(own)["tokens"]
    assert len(rate) == len(own)
    estimated, measured = costs.core_hours(cell, [], {"tokens": rate[0]})
    assert not measured and estimated == pytest.approx(own[0].train_seconds / 3600)


def test_the_api_page_follows_from_the_docstrings() -> None:
    page = api.PAGE.read_text("utf-8")
    assert page == api.page(), REMEDY
    import skipln

    assert all(f"## skipln.{name}\n" in page for name in skipln.__all__)
    assert 'skip: str = "rskip_ln"' in page and "object at 0x" not in page and str(ROOT) not in page


def test_readmes_answer_on_lambda_follows_from_the_committed_tables() -> None:
    text = readme.which_lambda()
    assert f"<!-- which λ -->\n\n{text}\n\n<!-- end of which λ -->" in (ROOT / "README.md").read_text("utf-8"), (
        "make results"
    )
    for table, heading, score, _ in readme.SECTIONS:
        rows = readme.section(table, heading)
        assert {score, ""} <= set(rows[0]) and sum(row[score] in text for row in rows) == len(rows)


def test_the_answer_in_short_names_what_is_better_on_most_and_worse_on_none() -> None:
    text = readme.Tested("post-LN", ["xSkip+LN λ=2", "xSkip+LN λ=3", "rSkip+LN λ=2"], [])
    images = readme.Tested("skip", ["rSkip+LN λ=2", "xSkip+LN λ=3"], ["xSkip λ=3"])
    deep = readme.Tested("post-LN", ["xSkip+LN λ=2"], ["rSkip+LN λ=2"])
    said = readme.in_short([("text", text), ("images", images), ("deep text", deep)])
    assert "on images, rSkip+LN λ=2 and xSkip+LN λ=3; on deep text, xSkip+LN λ=2." in said
    assert " xSkip+LN λ=2 and xSkip+LN λ=3: better on 2 of these 3, significantly worse on none." in said
    nothing = readme.in_short([("text", readme.Tested("post-LN", [], ["skip"]))])
    assert "on text, none. Begin with λ = 1" in nothing
