"""StableHLO for matrix factorisations."""
