"""StableHLO for convolutions and windows."""
