"""Probabilistic anchor assignment with IoU prediction, and the experiments on it."""

NUMERICS = 1
"""Which numbers a training ends with. Raised by one whenever a change makes the same configuration train to other
numbers: it is part of every identity, so that results from before and after never stand for one another."""
