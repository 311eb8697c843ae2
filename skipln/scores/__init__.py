"""How translations are scored, and which of the published scores may be compared with which."""
