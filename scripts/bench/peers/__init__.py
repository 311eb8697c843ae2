"""What ours is measured against: other programs, plain forms, and processes of their own."""
