"""One update of the weights: the gradient's norm, the optimizer, the learning rate."""
