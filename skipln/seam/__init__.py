"""The contract between models and connections: the seam, its registry, its options, and the fast form of a site."""
