"""The user's choice of kernels: the environment variable SKIPLN_FUSED."""

import os

# "0": none for residual sites. "1", the default: those that are faster. "always": also those that gain nothing, and
# those on a GPU that none has timed yet.
CHOICE = os.environ.get("SKIPLN_FUSED", "1")
