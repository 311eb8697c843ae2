"""Figures: a manifest in experiments/ → nets → measurements → numbers → SVG files and a page.

    python -m skipln.figures run figure1 --scale demo

`manifest` says what a figure is, `points` which nets it needs, and `gradients` what is measured in one. `measuring`
makes and keeps a measurement, and `runner` makes the missing ones. `numbers` joins them, `render` writes the pages,
and `publishing` moves them to results/.
"""
