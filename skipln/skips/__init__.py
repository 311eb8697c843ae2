"""Connections: the ways of joining a layer's input to its output, and the registry that names them.

    site = skipln.skips.create("rskip_ln", dim=512, lam=2)
    y = site(x, branch)          # branch: a callable, dropout included

Each file beside this one holds one connection; importing this package imports none of them, so the
configuration can be checked before torch is loaded.
"""

from skipln.seam.registry import create, names, options, register

__all__ = ["create", "names", "options", "register"]
