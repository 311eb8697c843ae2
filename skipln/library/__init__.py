"""For programs of one's own: nets with any connection in one call, and torch's and torchvision's nets given one."""
