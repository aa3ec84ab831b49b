"""The keys that may change after training."""

OPEN = ("postprocess", "images.test", "evaluate", "data.root", "data.split", "device", "threads", "workers", "lock")
"""Every other key made the weights what they are."""
