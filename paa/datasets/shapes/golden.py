"""What the default data set is, fixed: a generator that draws anything else is another version.

The statistics were fixed before a detector was trained on it, and the data set is not to be tuned to one.
"""

SPLIT_DIGESTS = {
    "train": "80dd6333ea186e4f8f029b736e3cf883f7fc8dede5389a38925eafe4ffd1a93c",
    "val": "fd19b7edc6683f6fab003323e12d2ea16704068671cf0c83960ec4859cfb8d8f",
    "test": "93cdb66e0ef5aae0b35ae11dc43057078df68d7dbcd9c1f5293ca2412b5f815a",
}
"""SHA-256 of each split: decoded pixels and annotations, see `generate.update`."""

DIGEST = "57d4c75af52e4327a294379dcd5c574c2f2ba71a9d093394f370ff030284470a"
"""Of the whole: SHA-256 of the three above, in hexadecimal, one after the other."""

FIRST_40 = "dd1b07d64a8792d66730f1a9aa7f8dfea563e705f03c919b5f9d44907e2a2197"
"""SHA-256 of the first 40 training images."""

STATISTICS = {
    "images": 5000.0,
    "objects": 26559.0,
    "classes": 10.0,
    "rarest_class": 0.0919,
    "fewest_objects": 1.0,
    "most_objects": 12.0,
    "mean_objects": 5.3118,
    "smallest": 0.0625,
    "largest": 0.9531,
    "small": 0.3627,
    "off_center": 0.4233,
    "hollow": 0.3775,
    "crowded": 0.3852,
    "occluded": 0.2124,
    "thin": 0.1523,
    "longest_aspect": 9.3333,
    "longest_box_aspect": 9.3333,
}
"""`statistics` of all 5000 images."""

STATISTICS_300 = {
    "images": 300.0,
    "objects": 1666.0,
    "classes": 10.0,
    "rarest_class": 0.0858,
    "fewest_objects": 1.0,
    "most_objects": 12.0,
    "mean_objects": 5.5533,
    "smallest": 0.0625,
    "largest": 0.9062,
    "small": 0.3709,
    "off_center": 0.4244,
    "hollow": 0.3691,
    "crowded": 0.44,
    "occluded": 0.2287,
    "thin": 0.1579,
    "longest_aspect": 9.3333,
    "longest_box_aspect": 9.3333,
}
"""`statistics` of the first 300 training images."""
