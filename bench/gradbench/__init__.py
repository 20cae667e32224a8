"""A tool for GradBench: it speaks the benchmark's JSON-lines protocol on its standard input and output."""
