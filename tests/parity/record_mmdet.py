"""Write mmdet/*.npz with MMDetection from `make mmdet`: `python tests/parity/record_mmdet.py`."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[0]))

import mmdetection
import numpy as np
import torch

SEEDS = (0, 3, 6, 7, 10, 12, 15, 18, 20, 21, 22, 25, 28, 30, 32, 33, 34, 37, 43, 48, 52, 57, 72)
"""Seeds of `random_images.images_of`: each kind of ground truths, with fresh, trained and wild outputs."""


def main() -> None:
    """Compute and store the arrays of each batch."""
    if not mmdetection.installed():
        sys.exit(f"no MMDetection in {mmdetection.FOLDER}: say `make mmdet`")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    mmdetection.activate()
    from hard_cases import COMPARED
    from mmdet_outputs import FOLDER, arrays_of, batch_of, labels_of_sets, outputs_of, thinned

    FOLDER.mkdir(exist_ok=True)
    batches = {f"batch_{seed:03}": batch_of(seed) for seed in SEEDS}
    for make in COMPARED:
        images = [make()]
        batches[f"batch_{make.__name__}"] = (images, arrays_of(images, 0))
    for name, (images, arrays) in batches.items():
        np.savez_compressed(FOLDER / f"{name}.npz", **arrays, **thinned(outputs_of(images, arrays["original"])))
    with np.load(FOLDER.parent / "official" / "boundaries.npz", allow_pickle=False) as sets:
        np.savez_compressed(FOLDER / "boundaries.npz", labels=labels_of_sets(dict(sets)))
    print(f"{len(batches)} batches and the sets, {sum(p.stat().st_size for p in FOLDER.iterdir())} bytes in {FOLDER}")


if __name__ == "__main__":
    main()
