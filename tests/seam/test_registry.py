"""The registry is strict, and the configuration's YAML lists exactly the options of the classes."""

import ast
import importlib
import re
from pathlib import Path
from types import ModuleType
from uuid import uuid4

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from skipln import skips
from skipln.models.transformer import Transformer, TransformerShape
from skipln.seam import renamed
from skipln.seam.options import check_options
from skipln.seam.place import Place
from skipln.seam.registry import Registry

ROOT = Path(__file__).resolve().parents[2]


def test_unknown_names_and_options_list_the_choices():
    with pytest.raises(ValueError, match=f"unknown connection 'no_such': choose one of {', '.join(skips.names())}"):
        skips.create("no_such", 4)
    with pytest.raises(ValueError, match="skip has no option 'lam': its options are pre_norm"):
        skips.create("skip", 4, lam=2.0)
    with pytest.raises(ValueError, match="layout is one of btc, nchw"):
        skips.create("skip", 4, layout="bct")


def test_the_error_for_a_renamed_connection_names_the_new_one():
    """Every entry of the map leads from a name that no longer exists to one that does."""
    for (_, old), new in renamed.NAMES.items():
        name, _, option = new.partition(", with ")
        key, _, value = option.partition("=")
        assert old not in skips.names()
        skips.create(name, 4, **({key: yaml.safe_load(value)} if key else {}))
        with pytest.raises(ValueError, match=re.escape(f"unknown connection '{old}' (it is {new}): choose one of ")):
            skips.create(old, 4)
    for (name, option), said in renamed.OPTIONS.items():
        with pytest.raises(ValueError, match=re.escape(f"{name} has no option '{option}': {said}")):
            skips.create(name, 4, **{option: True})
        (learned,) = re.findall(r"\w+_learned", said)
        assert skips.options(learned)["per"] == "scalar"


@pytest.mark.parametrize(
    ("name", "options", "missing"),
    [
        ("deepnorm", {}, "alpha and beta"),
        ("deepnorm", {"alpha": 2.0}, "beta"),
        ("keel", {}, "alpha"),
        ("layer_scale", {}, "gamma"),
    ],
)
def test_a_connection_that_needs_the_depth_asks_for_it(name, options, missing):
    with pytest.raises(
        ValueError, match=re.escape(f"{name} needs the depth of the net: give place=Place(…), or {missing}")
    ):
        skips.create(name, 4, **options)
    skips.create(name, 4, place=Place(), **options)
    skips.create(name, 4, **options, **dict.fromkeys(missing.split(" and "), 1.0))


@pytest.mark.parametrize("lam", [0, -1, 1.5, 0.5, "2", True, None, float("nan"), float("inf")])
def test_rskip_wants_an_integer_of_at_least_one(lam):
    with pytest.raises(ValueError, match="rskip_ln: lam is an integer greater than 0, not"):
        skips.create("rskip_ln", 4, lam=lam)


@given(st.one_of(st.floats(max_value=0), st.just(float("nan")), st.text(), st.booleans(), st.none()))
def test_xskip_wants_a_positive_number(lam):
    with pytest.raises(ValueError, match="xskip: lam is a number greater than 0, not"):
        skips.create("xskip", 4, lam=lam)


@given(st.dictionaries(st.sampled_from(["a", "b"]), st.integers(-(2**62), 2**62)))
def test_given_options_replace_defaults_and_nothing_else(options):
    assert check_options("it", options, {"a": 1, "b": 2}) == {"a": 1, "b": 2, **options}


def test_every_connections_file_can_be_imported():
    skips.names()
    assert skips.registry.broken == []


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """Return a function that makes a registry in a package of its own, with given files."""

    def make(**files: str) -> Registry:
        package = tmp_path / f"made_up_{uuid4().hex}"
        package.mkdir()
        (package / "__init__.py").write_text(
            "from skipln.seam.registry import Registry\n"
            f"registry = Registry('connection', '{package.name}', ('dim',))\n"
        )
        for name, text in files.items():
            (package / f"{name}.py").write_text(f"from {package.name} import registry\n{text}")
        monkeypatch.syspath_prepend(tmp_path)
        return importlib.import_module(package.name).registry

    return make


GOOD = "@registry.register('{0}')\nclass Good:\n    def __init__(self, dim, gain=1.0): pass\n"


def test_a_broken_file_is_one_line_and_affects_only_its_own_names(registry):
    found = registry(
        fine=GOOD.format("fine"), name_error=GOOD.format("early") + "class Mine(Connection): pass\n", syntax="def :\n"
    )
    assert found.names() == ["fine"]
    assert found.options("fine") == {"gain": 1.0}
    for name in ("mine", "early"):
        with pytest.raises(ValueError) as error:
            found.find(name)
        said = str(error.value)
        assert said.startswith(f"unknown connection '{name}': choose one of fine; ")
        assert "/name_error.py, line 5 cannot be imported: NameError: name 'Connection' is not defined" in said
        assert "/syntax.py, line 2 cannot be imported: SyntaxError: " in said
        assert "\n" not in said


def test_a_name_in_two_files_is_an_error_for_that_name_alone(registry):
    found = registry(a=GOOD.format("mine"), b=GOOD.format("mine"), c=GOOD.format("fine"))
    assert found.names() == ["fine"]
    package = found.package
    with pytest.raises(ValueError, match=rf"'mine' is registered twice, by {package}\.a\.Good and {package}\.b\.Good$"):
        found.find("mine")
    assert found.options("fine") == {"gain": 1.0}


def test_a_name_cannot_be_registered_twice():
    with pytest.raises(ValueError, match="the connection 'skip' is registered twice"):
        skips.register("skip")(object)
    skips.create("skip", 4)


def test_a_word_is_one_of_its_choices(registry):
    found = registry(
        mine="from typing import Literal\n@registry.register('mine')\nclass Mine:\n"
        "    def __init__(self, dim, form: Literal['one', 'two'] = 'one', alpha: float | None = None): pass\n"
    )
    assert found.check("mine", {"form": "two", "alpha": 2}) == {"form": "two", "alpha": 2.0}
    assert found.check("mine", {}) == {"form": "one", "alpha": None}
    with pytest.raises(ValueError, match="mine: form is one of one, two, not 'three'"):
        found.check("mine", {"form": "three"})
    with pytest.raises(ValueError, match="mine: alpha is a number, not 'x'"):
        found.check("mine", {"alpha": "x"})


@pytest.mark.parametrize("name", skips.names())
def test_yaml_lists_the_options_of_the_class(name):
    content = yaml.safe_load((ROOT / f"configs/skip/{name}.yaml").read_text())
    assert content.pop("name") == name
    options = skips.options(name)
    assert content == options
    assert {key: type(value) for key, value in content.items()} == {k: type(v) for k, v in options.items()}


# Values for options where the rule below gives one that has no effect in a net of two layers.
OTHERS = {("attn_res_block", "blocks"): 2, ("mix_ln", "share"): 0.5}


def other_value(name: str, option: str, methods: ModuleType = skips) -> object:
    """Return a legal value of the option that is not its default."""
    if (name, option) in OTHERS:
        return OTHERS[name, option]
    default = methods.options(name)[option]
    if option in methods.registry.choices(name):
        return next(value for value in methods.registry.choices(name)[option] if value != default)
    if isinstance(default, bool):
        return not default
    return default + 1 if isinstance(default, int) else 0.7 if default is None else 0.5 * default + 0.1


OPTIONS = [(name, option) for name in skips.names() for option in skips.options(name)]


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_every_option_changes_a_net(name, option):
    """It changes the initial weights or the output; otherwise a keyword would be accepted but never used."""

    def net(**options):
        torch.manual_seed(0)
        shape = TransformerShape(2, 2, 8, 16, 2, dropout=0.0)
        built = Transformer(20, shape, lambda dim, place: skips.create(name, dim, place=place, **options)).eval()
        before = {key: value.clone() for key, value in built.state_dict().items()}
        for parameter in built.parameters():
            torch.nn.init.normal_(parameter)
        return before, built(*torch.randint(4, 20, (2, 3, 5), generator=torch.Generator().manual_seed(1)))

    (weights, logits), (others, changed) = net(), net(**{option: other_value(name, option)})
    begins_alike = weights.keys() == others.keys() and all(torch.equal(weights[key], others[key]) for key in weights)
    assert not begins_alike or not torch.allclose(logits, changed)


@pytest.mark.parametrize(
    ("folder", "known"),
    [
        ("seam", ("seam", "norms", "ops")),
        ("skips", ("seam", "skips", "norms")),
        ("norms", ("seam", "norms", "ops")),
        ("attention", ("seam", "attention", "ops")),
        ("ops", ("ops",)),
    ],
)
def test_methods_import_only_the_packages_allowed_to_them(folder, known):
    for path in ROOT.glob(f"skipln/{folder}/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("skipln"):
                assert node.module == "skipln" or node.module.split(".")[1] in known, path


def test_models_never_add_a_residual_themselves():
    """A model adds only positions to embeddings: every x + f(x) goes through the seam."""
    for path in ROOT.glob("skipln/models/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Add):
                text = ast.unparse(node)
                assert "self.positions" in text or not {"x", "h", "branch"} & {
                    leaf.id for leaf in ast.walk(node) if isinstance(leaf, ast.Name)
                }, f"{path}: {text}"


def test_a_connections_file_has_at_most_60_lines():
    for path in ROOT.glob("skipln/skips/*.py"):
        assert path.name == "__init__.py" or len(path.read_text().splitlines()) <= 60, path
