"""The peers that ours is measured against: other programs, plain forms, and separate processes."""
