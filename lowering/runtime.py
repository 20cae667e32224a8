"""What arrays are when they enter and leave: the kinds of a call's leaves and of its results."""

JAX, SCALAR, PYTHON, ARRAY = "jax.Array", "NumPy scalar", "Python number", "ndarray"
"""A result has the kind of its argument: `jax.Array`, `np.float64(1.0)`, `1.0`, `ndarray`."""
