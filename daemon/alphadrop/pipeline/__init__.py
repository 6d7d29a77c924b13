"""Many photographs at once on one machine: who goes next, how much is in flight, and what is done apart."""
