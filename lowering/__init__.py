"""Graph -> StableHLO -> XLA executable."""
