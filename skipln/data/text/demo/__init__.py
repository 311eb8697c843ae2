"""The demo corpus: user-interface text out of the translation catalogs of registry wheels, cleaned and split."""
