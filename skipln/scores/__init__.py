"""Scores of translations, and the published scores that may be compared with them."""
