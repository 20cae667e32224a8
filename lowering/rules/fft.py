"""StableHLO for Fourier transforms."""
