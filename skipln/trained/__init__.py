"""Use a finished run: apply its model to other text, images and test sets."""
