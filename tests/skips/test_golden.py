"""Golden numbers: the literal output of every connection, so that no refactoring changes the meaning of a name."""

from pathlib import Path

import pytest
import torch
import yaml

from skipln import skips
from skipln.seam.place import Place

GOLDEN = Path(__file__).with_name("golden.yaml")
CASES = yaml.safe_load(GOLDEN.read_text()) or []


def output(case: dict) -> list[float]:
    """Apply the site to x[t, c] = sin(1 + t + c²), [1, 2, 4], with F(x) = cos(2x) + 0.1 and varied parameters."""
    options = {key: value for key, value in case.items() if key not in ("skip", "y")}
    torch.manual_seed(0)  # for matrices that are initialised at random
    site = skips.create(case["skip"], 4, place=Place(), **options).double()
    for i, parameter in enumerate(site.parameters()):
        parameter.data += 0.1 * torch.cos(torch.arange(parameter.numel()).double() + i).view_as(parameter)
    t, c = torch.arange(2.0, dtype=torch.float64)[:, None], torch.arange(4.0, dtype=torch.float64)
    y = site.leave(site(site.enter(torch.sin(1 + t + c**2)[None]), lambda h: torch.cos(2 * h) + 0.1))
    return [round(value, 6) for value in y.flatten()[:4].tolist()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(str(v) for k, v in case.items() if k != "y"))
def test_golden(case):
    assert output(case) == pytest.approx(case["y"], abs=2e-6)


def test_every_connection_has_golden_numbers():
    assert {case["skip"] for case in CASES} == set(skips.names())


if __name__ == "__main__":  # prints the lines of golden.yaml
    others = {
        "lam": 3,
        "pre_norm": True,
        "share_norm": True,
        "alpha": 0.5,
        "gamma": 0.5,
        "bias": 1.0,
        "gain": 0.5,
        "streams": 2,
        "dynamic": True,
        "share": 1.0,
        "beta": 0.5,
        "blocks": 1,
        "omega": "analytic",
        "per": "channel",
        "scale_residual": True,
    }
    for name in skips.names():
        for options in [{}, *({key: other} for key, other in others.items())]:
            if set(options) <= set(skips.options(name)):
                case = {"skip": name, **options}
                print(f"- {{{', '.join(f'{k}: {str(v).lower()}' for k, v in case.items())}, y: {output(case)}}}")
