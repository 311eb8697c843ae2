"""The gallery: every connection with what its own docstring says, what was measured of it, and its place in table 7.

`facts` reads docstrings, `measuring` builds nets, `places` reads the records of table 7, `page` writes docs/gallery.md
and docs/gallery.html, `__main__` is `make gallery`.
"""
