"""Published corpora: fetched from their servers, checked, tokenised and encoded once."""
