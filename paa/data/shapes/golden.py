"""What the default data set is, fixed: a generator that draws anything else is another version.

The statistics were fixed before a detector was trained on it, and the data set is not to be tuned to one.
"""

SPLIT_DIGESTS = {
    "train": "9de9ad47a36bbd219d0f801c3a7f197827455cd49a11d0c7e0872984a3f4cbad",
    "val": "f1c73f86636f7c6173f1e426062a1f2ce322ce05bdde9d3c2e5285fa6d5a6581",
    "test": "16684f732e77532d88470b9da08cc2097cb72a319f9c6ac032fdb46d937bbdec",
}
"""SHA-256 of each split: decoded pixels and annotations, see `generate.update`."""

DIGEST = "e6ad4f228fe75229c8e4d16cbb5303d571c767ee8fe163354d45d2f32dc744e5"
"""Of the whole: SHA-256 of the three above, in hexadecimal, one after the other."""

FIRST_40 = "62e43f830fd05af047222cd3a12b4bba3ace36fc63656186b2bf0c3ff3ed8e6c"
"""SHA-256 of the first 40 training images."""

STATISTICS = {
    "images": 5000.0,
    "objects": 26748.0,
    "classes": 10.0,
    "rarest_class": 0.0942,
    "fewest_objects": 1.0,
    "most_objects": 12.0,
    "mean_objects": 5.3496,
    "smallest": 0.0625,
    "largest": 0.9609,
    "small": 0.3536,
    "off_centre": 0.4289,
    "hollow": 0.384,
    "crowded": 0.3922,
    "occluded": 0.2149,
    "thin": 0.1537,
    "longest_aspect": 10.0,
    "longest_box_aspect": 10.0,
}
"""`statistics` of all 5000 images."""

STATISTICS_300 = {
    "images": 300.0,
    "objects": 1676.0,
    "classes": 10.0,
    "rarest_class": 0.0877,
    "fewest_objects": 1.0,
    "most_objects": 12.0,
    "mean_objects": 5.5867,
    "smallest": 0.0625,
    "largest": 0.9375,
    "small": 0.3616,
    "off_centre": 0.4284,
    "hollow": 0.3741,
    "crowded": 0.4433,
    "occluded": 0.2285,
    "thin": 0.1641,
    "longest_aspect": 10.0,
    "longest_box_aspect": 10.0,
}
"""`statistics` of the first 300 training images."""
