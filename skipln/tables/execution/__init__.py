"""What executes the runs of a table: this machine, or a cluster through SLURM; and what that would cost."""
