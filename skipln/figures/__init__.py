"""Figures: a manifest in experiments/ → nets → measurements → numbers → SVG and a page.

    python -m skipln.figures run figure1 --scale demo

`manifest` says what a figure is, `points` which nets it needs, `gradients` what is measured in one, `measuring` makes
and keeps a measurement, `runner` makes those that are missing, `numbers` joins them, `render` writes what is read,
`publishing` makes that the published results/.
"""
