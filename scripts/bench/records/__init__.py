"""Make measurements, write their records under results/bench, and make the page of all records."""
