"""GradBench's evals, each as plain NumPy in a file of its own: `TASKS` has the functions by name."""
