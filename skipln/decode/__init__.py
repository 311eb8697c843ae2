"""Decoding: beam search over any model that can take one step at a time."""

from skipln.decode.beam import beam_search, length_penalty

__all__ = ["beam_search", "length_penalty"]
