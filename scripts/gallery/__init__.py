"""The gallery: every connection with what its docstring says, what was measured, and its place in table 7.

`facts` reads docstrings, `measuring` builds nets, `places` reads the records of table 7, `page` writes docs/gallery.md
and docs/gallery.html, and `__main__` is `make gallery`.
"""
