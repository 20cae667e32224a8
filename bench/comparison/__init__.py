"""Lilith beside its peers: the same functions, checked against each other, timed in turns.

`workload.py` says what a workload is and `workloads/` has them; `peers/` has one file per peer; `measure.py` times;
`report.py` and `page.py` write what was found, `compare.py` reads two such files.
"""
