"""Runs on disk: their IDs, lock, status, files and records.

settings   which keys of the configuration count in run IDs.
identity   the run ID of a training and the ID of an evaluation, from their configuration.
lock       one training per run ID, among processes and machines.
status     done, running, interrupted, failed, ...
paths      every file of a run.
failure    why the last attempt failed.
record     what a finished training and a finished evaluation contain.
frame      all records as one pandas frame: `paa.runs.collect(runs_dir)`.

Nothing here imports torch, so that `python -m paa.runs` starts fast.
"""
