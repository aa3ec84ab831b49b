"""Which output of another project's head is which class of ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torchvision.models.detection import RetinaNet_ResNet50_FPN_Weights

from paa.conversion.errors import ConversionError
from paa.conversion.naming import SourceModel

Categories = Sequence[Sequence[Any]]
"""[id, name] of each class, in the order of our labels."""


def coco() -> list[list[Any]]:
    """COCO's 80 classes: ids from 1 to 90, with gaps."""
    names = RetinaNet_ResNet50_FPN_Weights.COCO_V1.meta["categories"]  # by id, from 0 on
    return [[i, name] for i, name in enumerate(names) if name not in ("__background__", "N/A")]


def categories_of(model: SourceModel, outputs: int) -> list[list[Any]]:
    """Return the classes of a head of so many outputs: COCO's by their number, else those that the file names.

    ConversionError where neither says which they are.
    """
    known = coco()
    if outputs == (known[-1][0] + 1 if model.by_id else len(known)):
        return known
    if model.classes is not None and len(model.classes) == outputs:
        return [[i + 1, name] for i, name in enumerate(model.classes)]
    hint = "say which they are: data=custom data.root=DIR, with annotations that list them"
    raise ConversionError(f"its head has {outputs} outputs, which are not COCO's classes; {hint}")


def rows(model: SourceModel, outputs: int, categories: Categories, whose: str) -> list[int]:
    """Return the output of each class of `categories`; `whose` says in messages where these are from.

    Of named classes the names decide, of torchvision's the ids: COCO's where the last id is the last output, else the
    labels from 1 on. ConversionError where the numbers or names do not fit.
    """
    if model.by_id:
        ids = [int(category) for category, _ in categories]
        if max(ids) == outputs - 1:
            return ids
        if len(ids) == outputs - 1:
            return list(range(1, outputs))
        found = f"{outputs} outputs, the background included"
        raise ConversionError(f"its head has {found}; {whose} has {len(ids)} classes")
    if outputs != len(categories):
        raise ConversionError(f"its head has {outputs} outputs; {whose} has {len(categories)} classes")
    if model.classes is None:
        return list(range(outputs))
    theirs, ours = ([_plain(name) for name in names] for names in (model.classes, [name for _, name in categories]))
    if sorted(theirs) != sorted(ours):
        strange = sorted(set(theirs) - set(ours)) or ["one name twice"]
        raise ConversionError(f"its classes are others than those of {whose}: {', '.join(strange)}")
    return [theirs.index(name) for name in ours]


def _plain(name: str) -> str:
    return name.replace("_", " ").casefold()
