"""The files of golden arrays of one kind: beside the tests, in ../shared where it is, and where PAA_GOLDEN says."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np


class GoldenFiles:
    """Files of `kind`, "official" or "rivals", which is the name of their folder."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.read = cache(self._read)

    def folders(self) -> list[Path]:
        """Return the folders of golden arrays, the fullest first."""
        here = Path(__file__).resolve()
        places = [here.parents[3] / "shared" / "golden" / self.kind, here.parent / self.kind]
        if os.environ.get("PAA_GOLDEN"):
            places.insert(0, Path(os.environ["PAA_GOLDEN"]))
            assert places[0].is_dir(), f"PAA_GOLDEN={places[0]} is no folder of golden arrays"
        return [place for place in places if place.is_dir()]

    def names(self, prefix: str) -> list[str]:
        """Return the files of one kind of scene, by the beginning of their names."""
        found = {path.name for folder in self.folders() for path in folder.glob(f"{prefix}*.npz")}
        assert found, f"no {prefix}*.npz in {', '.join(map(str, self.folders()))}"
        return sorted(found)

    def _read(self, name: str) -> dict[str, np.ndarray]:
        """Return the arrays of one file, which must not be changed."""
        path = next(folder / name for folder in self.folders() if (folder / name).is_file())
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
