"""The contract between models and connections: the seam, its registry, its options, and a site's fast form."""
