"""Small COCO files for the tests of `paa.datasets`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def content() -> dict[str, Any]:
    """Three images out of order, categories with gaps out of order, a crowd, an image without annotations."""
    return {
        "images": [
            {"id": 30, "file_name": "c.png", "width": 40, "height": 60},
            {"id": 10, "file_name": "a.png", "width": 64, "height": 48},
            {"id": 20, "file_name": "b.png", "width": 50, "height": 50},
        ],
        "annotations": [
            {"id": 5, "image_id": 30, "category_id": 90, "bbox": [1.5, 2.25, 10, 20], "area": 123.5, "iscrowd": 0},
            {"id": 6, "image_id": 10, "category_id": 3, "bbox": [0, 0, 30, 30], "area": 800, "iscrowd": 1},
            {"id": 7, "image_id": 10, "category_id": 17, "bbox": [60, 40, 10, 10]},
            {"id": 4, "image_id": 10, "category_id": 3, "bbox": [5, 6, 7, 8], "area": 50, "iscrowd": 0},
        ],
        "categories": [{"id": 90, "name": "ox"}, {"id": 3, "name": "car"}, {"id": 17, "name": "cat"}],
    }


def write(root: Path, data: dict[str, Any], split: str = "train", *, pictures: bool = True) -> Path:
    """`data` in the layout of `Custom` below `root`, with an image of noise for every entry; the annotation file."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    (root / "annotations").mkdir(exist_ok=True)
    path = root / "annotations" / f"{split}.json"
    path.write_text(json.dumps(data))
    if pictures:
        noise = np.random.RandomState(0)
        for entry in data["images"]:
            pixels = noise.randint(0, 256, (entry["height"], entry["width"], 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / "images" / entry["file_name"])
    return path
