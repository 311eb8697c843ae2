"""What became of names and options that do not exist, so that an error can say so. It needs no torch.

A connection, norm or attention that is removed or renamed leaves a line in `NAMES`, and so does a name that others use
for one of ours. An option that users expect where there is none goes into `OPTIONS`.
"""

NAMES = {
    ("connection", "post_ln"): "xskip_ln, with lam=1",
    ("connection", "admin_analytic"): "admin, with omega=analytic",
    ("connection", "dynamic_hyper_connections"): "hyper_connections, with dynamic=true",
    ("connection", "rskip_learned"): "rskip_ln_learned",
}

_RSKIP = "the integer λ is not learned: rskip_ln_learned learns a real λ, for the site or for each channel"
_XSKIP = "this λ is not learned: {}_learned learns its λ, for the site or for each channel"

OPTIONS = {
    (name, option): advice
    for name, advice in {
        "rskip_ln": _RSKIP,
        "rskip_bn": _RSKIP,
        "xskip": _XSKIP.format("xskip"),
        "xskip_ln": _XSKIP.format("xskip_ln"),
    }.items()
    for option in ("learn", "learned", "per")
}


def now(what: str, name: str) -> str:
    """Return " (it is …)" with the present name of what was called `name`; "" for a name that never existed."""
    return f" (it is {NAMES[what, name]})" if (what, name) in NAMES else ""
