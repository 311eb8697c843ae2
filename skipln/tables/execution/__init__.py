"""Execute the runs of a table, on this machine or on a cluster through SLURM, and estimate the cost."""
