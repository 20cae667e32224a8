"""StableHLO for random bits."""
