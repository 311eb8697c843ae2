"""What a finished run is good for: its model on other text, images and test sets."""
