"""A run is its configuration: what it is called, who works on it, where it lies, what it left.

identity  the names of a training and of an evaluation, from their configuration.
claim     one training per identity, over processes and machines.
paths     every file of a run.
record    what a finished training and a finished evaluation say about themselves.
collect   all records as one pandas frame.

Nothing here imports torch: `python -m paa.runs` answers at once.
"""
