"""Check the contract of a boundary on small tensors: a mistake in your own boundary is found within a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from paa.assign.boundary import IGNORED, NEGATIVE, POSITIVE
from paa.assign.paa import SCOPES, Boundary
from paa.checks import UserError


class BoundaryError(UserError, ValueError):
    """A boundary breaks a promise; the message is one line. `__cause__` is what it raised, if it raised."""


def check_boundary(boundary: Boundary, *, every_gt_positive: bool = True) -> None:
    """Tries `boundary` on ordinary, degenerate and padded candidates; BoundaryError says the first thing that is wrong.

    What a boundary promises (`paa.assign.boundary`): a `scope`; labels int8 of the shape of the scores, 1, 0 or -1, and
    0 in the padding; its inputs stay as they are; each ground truth is labeled for itself, however many others there
    are and however wide the padding is (not asked of a boundary that draws at random); no exception on equal scores, on
    a single candidate or on none.

    every_gt_positive  a ground truth with candidates also gets a positive. FSR breaks this, and the paper shows what
                       comes of it; False allows it.
    """
    name = type(boundary).__name__
    scope = getattr(boundary, "scope", None)
    if scope not in SCOPES:
        raise BoundaryError(f"{name}.scope={scope}: must be one of {', '.join(SCOPES)}")
    for number, (case, scores, valid) in enumerate(_cases()):
        for progress in (0.0, 0.5, 1.0) if number == 0 else (0.5,):
            on = f"on {case}, scores {list(scores.shape)}, progress {progress:g}"

            def labels_of(scores: Tensor, valid: Tensor, progress: float = progress, on: str = on) -> Tensor:
                try:
                    return boundary(scores, valid, progress)
                except Exception as error:
                    raise BoundaryError(f"{name} raises {on}") from error

            for problem in _problems(labels_of, scores, valid, every_gt_positive):
                raise BoundaryError(f"{name}: {problem} ({on})")


def _cases() -> Iterator[tuple[str, Tensor, Tensor]]:
    """(name, scores [N, M] ascending with inf in the padding, valid [N, M]) as `PAA` hands them to a boundary."""
    random = torch.Generator().manual_seed(0)
    ordinary = torch.rand(16, 45, generator=random).mul_(4).sort(1).values
    everywhere = torch.ones_like(ordinary, dtype=torch.bool)
    yield "ordinary candidates", ordinary, everywhere
    counts = torch.arange(16).unsqueeze(1) * 3
    valid = torch.arange(45) < counts
    yield "padded candidates, of none to 45", ordinary.where(valid, torch.inf), valid
    yield "equal scores", torch.full((4, 9), 0.7), torch.ones(4, 9, dtype=torch.bool)
    yield "scores of 0", torch.zeros(4, 9), torch.ones(4, 9, dtype=torch.bool)
    two = torch.tensor([[0.1] * 4 + [3.0] * 5])
    yield "two values", two, torch.ones_like(two, dtype=torch.bool)
    yield "huge scores", ordinary * 1e4, everywhere
    yield "a single candidate", ordinary[:, :1], everywhere[:, :1]
    yield "no candidate", torch.full((2, 9), torch.inf), torch.zeros(2, 9, dtype=torch.bool)


def _problems(
    labels_of: Callable[[Tensor, Tensor], Tensor], scores: Tensor, valid: Tensor, every_gt_positive: bool
) -> Iterator[str]:
    """What is wrong with the labels of one case; only the first is of use, since each relies on those before."""
    given = scores.clone(), valid.clone()
    labels = labels_of(*given)
    if not isinstance(labels, Tensor):
        yield f"returns a {type(labels).__name__}, must return a tensor of labels"
    if labels.shape != scores.shape:
        yield f"labels have the shape {list(labels.shape)}, must have that of the scores"
    if labels.dtype != torch.int8:
        yield f"labels are {labels.dtype}, must be torch.int8 (paa.assign.boundary.write makes such of masks)"
    strange = set(labels.unique().tolist()) - {POSITIVE, NEGATIVE, IGNORED}
    if strange:
        yield f"labels of {sorted(strange)}, must be 1 (positive), 0 (negative) or -1 (ignored)"
    if (labels[~valid] != NEGATIVE).any():
        yield "labels the padding, which must be 0: mask by valid"
    if not (torch.equal(given[0], scores) and torch.equal(given[1], valid)):
        yield "changes its arguments; work on copies of scores and valid"
    if every_gt_positive and (valid.any(1) & ~(labels == POSITIVE).any(1)).any():
        yield "leaves a ground truth that has candidates without a positive"
    if (valid == valid[:1]).all() or not torch.equal(labels_of(scores, valid), labels):  # the latter draws at random
        return
    fullest = int(valid.sum(1).argmax())
    one = slice(fullest, fullest + 1)
    flipped, single = labels_of(scores.flip(0), valid.flip(0)), labels_of(scores[one], valid[one])
    if not (torch.equal(flipped, labels.flip(0)) and torch.equal(single, labels[one])):
        yield "labels of a ground truth depend on the others; reduce along dim 1 only"
    wide, kept = F.pad(scores, (0, 3), value=torch.inf), F.pad(valid, (0, 3))
    if not torch.equal(labels_of(wide, kept)[:, : scores.shape[1]], labels):
        yield "labels change with the width of the padding; count candidates by valid.sum(1), not by the shape"
