"""The workloads, a file per group; each adds its own with `bench.comparison.workload.add`."""
