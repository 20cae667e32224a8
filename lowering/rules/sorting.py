"""StableHLO for sorting primitives."""
