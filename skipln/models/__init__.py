"""The Transformer and the ResNets; they know no connection, norm or attention by name."""
