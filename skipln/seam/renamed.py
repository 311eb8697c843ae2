"""What became of names and options that are not there, so that an error can say it. No torch.

A connection, norm or attention that is removed or renamed leaves a line in `NAMES`; so do names by which others know
ours. An option that is asked for where it is not goes into `OPTIONS`.
"""

NAMES = {
    ("connection", "post_ln"): "xskip_ln, with lam=1",
    ("connection", "admin_analytic"): "admin, with omega=analytic",
    ("connection", "dynamic_hyper_connections"): "hyper_connections, with dynamic=true",
    ("connection", "rskip_learned"): "rskip_ln_learned",
}

_RSKIP = "the integer λ is not learned: rskip_ln_learned has a real one that is, for the site or for each channel"
_XSKIP = "this λ is not learned: {}_learned has one that is, for the site or for each channel"

OPTIONS = {
    (name, option): said
    for name, said in {
        "rskip_ln": _RSKIP,
        "rskip_bn": _RSKIP,
        "xskip": _XSKIP.format("xskip"),
        "xskip_ln": _XSKIP.format("xskip_ln"),
    }.items()
    for option in ("learn", "learned", "per")
}


def now(what: str, name: str) -> str:
    """How what was asked for as `name` is called, in brackets behind the name; "" for a name that never was."""
    return f" (it is {NAMES[what, name]})" if (what, name) in NAMES else ""
