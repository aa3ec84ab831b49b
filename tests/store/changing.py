"""A configuration with one key changed, and the digests of its data."""

import copy

DIGESTS = {"data.train": "a1", "data.val": "b2", "data.test": "c3"}


def changed(config, key, value):
    out = copy.deepcopy(config)
    *parents, last = key.split(".")
    node = out
    for name in parents:
        node = node[name]
    node[last] = value
    return out
