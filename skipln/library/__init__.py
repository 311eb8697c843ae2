"""For your own programs: nets with any connection in one call, and connections for torch's and torchvision's nets."""
