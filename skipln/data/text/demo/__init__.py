"""The demo corpus: user-interface text from the translation catalogs of registry wheels, cleaned and split."""
