"""A finished run in the formats of others: a folder with the weights, what goes with them, and a page about them."""
