"""Studies without a peer, one command each: the machine itself, and what an update, a cluster and speed cost."""
