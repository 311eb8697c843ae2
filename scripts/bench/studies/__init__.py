"""What has no peer: the machine itself, what an update, a cluster and speed cost; a command each."""
