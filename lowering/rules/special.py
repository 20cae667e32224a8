"""StableHLO for special functions."""
