"""What is wrong with single images and boxes of a data set, counted by kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

ON_INVALID = ("error", "drop")
"""data.on_invalid: the first such thing refuses the data set, or all such images and boxes are left out and counted."""

FOLLOWING = "boxes of images that are left out"
"""The kind of what is not wrong itself."""


@dataclass(frozen=True)
class Finding:
    """One kind of thing that is wrong.

    kind   what, in the plural: "image files that are missing".
    first  the first of them, in a line: file, id, what would be right.
    count  how often.
    """

    kind: str
    first: str
    count: int = 1


def counted(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return one finding of each kind, in the order of the first of them."""
    kinds: dict[str, Finding] = {}
    for one in found:
        before = kinds.get(one.kind)
        kinds[one.kind] = Finding(one.kind, before.first, before.count + one.count) if before else one
    return tuple(kinds.values())


def refusal(found: Sequence[Finding], remedy: str = "data.on_invalid=drop leaves them out") -> str | None:
    """Put the first finding in a line: what it is, how many more there are, what can be done; None without any."""
    wrong = [one for one in counted(found) if one.kind != FOLLOWING]
    if not wrong:
        return None
    alike, others = wrong[0].count - 1, sum(one.count for one in wrong[1:])
    more = [f"{alike} more such"] if alike else []
    more += [f"{others} other {'problem' if others == 1 else 'problems'}"] if others else []
    return f"{wrong[0].first} ({', '.join([*more, remedy])})"


def summarize(found: Sequence[Finding]) -> str:
    """ "2 image files that are missing, 1 boxes of ...": for the line that training begins with."""
    return ", ".join(f"{one.count} {one.kind}" for one in found)
