"""Export of a finished run to other formats: a folder with the weights, what they need, and a page about them."""
