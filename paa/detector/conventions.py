"""Input conventions: what images a backbone expects. They follow its weights, and nothing else may contradict them.

Nothing here imports torch: a run ID, which contains what follows from the weights, is computed without it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

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


DEPTHS = (18, 34, 50, 101, 152)
PUBLISHED = (
    *(f"resnet{depth}" for depth in DEPTHS),
    *("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"),
)
"""ResNets and ResNeXts that torchvision has weights of."""


def resnet_name(depth: int, groups: int, width_per_group: int) -> str:
    """Return torchvision's name of a ResNet or ResNeXt."""
    plain = (groups, width_per_group) == (1, 64)
    return f"resnet{depth}" if plain else f"resnext{depth}_{groups}x{width_per_group}d"


def resnet_defaults(
    stated: str | None,
    *,
    depth: int = 50,
    weights: str | None = None,
    convention: str = AUTO,
    stride_in_1x1: bool | None = None,
    bn_eps: float | None = 1e-5,
    groups: int = 1,
    width_per_group: int = 64,
    expects: str = "weights",
) -> dict[str, Any]:
    """Return what arguments of `paa.detector.ResNet` that were left open come to with these weights.

    stated  the convention that the file of the weights states, if it does.

    With these in their place the same network is built again. `checks.OutOfRange` where two disagree.
    """
    checks.choice("depth", depth, DEPTHS)
    if bn_eps is not None:
        checks.number("bn_eps", bn_eps, low=0)
    if weights == "torchvision":
        if resnet_name(depth, groups, width_per_group) not in PUBLISHED:
            raise checks.OutOfRange("weights", "=torchvision: it has none for this network; must be null or a file")
        stated = "torchvision"
    convention = agreed(convention, expects, weights, stated)
    if stride_in_1x1 is None:
        stride_in_1x1 = convention == "caffe" and depth >= 50 and groups == 1
    elif checks.flag("stride_in_1x1", stride_in_1x1) and depth < 50:
        raise checks.OutOfRange("stride_in_1x1", f"=True: ResNet-{depth} has no 1x1 convolution to halve in")
    if bn_eps is None:
        bn_eps = 0.0 if convention == "caffe" else 1e-5
    return {"convention": convention, "stride_in_1x1": stride_in_1x1, "bn_eps": bn_eps}
