"""How a measurement is made, what is written of it under results/bench, and the page of all records."""
