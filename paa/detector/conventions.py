"""Input conventions: what images a backbone expects. They follow its weights, and nothing else may contradict them."""

from __future__ import annotations

from typing import NamedTuple

from paa import checks


class Convention(NamedTuple):
    """Channels in `order` ("rgb" | "bgr"), values in [0, scale], less `mean`, over `std`."""

    order: str
    scale: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __str__(self) -> str:
        """In a few words, for messages."""
        return f"{self.order.upper()} in [0, {self.scale}]"


CONVENTIONS = {
    "torchvision": Convention("rgb", 1, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "caffe": Convention("bgr", 255, (102.9801, 115.9465, 122.7717), (1.0, 1.0, 1.0)),
}
LITE = Convention("rgb", 255, (127.0, 127.0, 127.0), (128.0, 128.0, 128.0))
"""EfficientNet-Lite's own."""

AUTO = "auto"
EXPECTS = ("weights", *CONVENTIONS)


def agreed(convention: str, expects: str, source: str | None, stated: str | None) -> str:
    """Return the convention of a network's input: "torchvision" or "caffe".

    convention  what the configuration states about the weights: one of CONVENTIONS, or "auto".
    expects     what the training expects: one of CONVENTIONS, or "weights": whatever the weights want.
    source      the weights by name or path; None: from scratch, where any input will do.
    stated      what the weights' file states: one of CONVENTIONS, or None.

    Weights that state nothing count as torchvision's under "auto". `checks.OutOfRange` where two disagree.
    """
    checks.choice("convention", convention, (AUTO, *CONVENTIONS))
    checks.choice("expects", expects, EXPECTS)
    if source is None:
        if convention != AUTO:
            return convention
        return "torchvision" if expects == "weights" else expects
    whose = "torchvision's weights" if source == "torchvision" else f"the weights of {source}"
    if stated is not None and convention not in (AUTO, stated):
        raise checks.OutOfRange("convention", f"={convention}: {whose} need convention={stated}")
    found = stated or ("torchvision" if convention == AUTO else convention)
    if expects in ("weights", found):
        return found
    if stated is None and convention == AUTO:
        hint = f"if they are {expects}'s, set convention={expects}"
    else:
        hint = f"give weights of {expects}'s convention (weights=FILE)"
    problem = f"={expects}: {whose} want {CONVENTIONS[found]}, not {CONVENTIONS[expects]}"
    raise checks.OutOfRange("expects", f"{problem}; {hint}, or take the input that they want: compat.input=weights")
