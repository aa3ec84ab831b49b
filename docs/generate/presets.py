"""The page of the presets, made of conf/compat: `python -m docs.generate.presets [FILE]` writes FILE, or prints it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml
from omegaconf import OmegaConf

from docs.generate.comments import Key
from docs.generate.reference import Conf
from paa import files
from paa.config.compose import Composer
from paa.config.paths import conf_dir

PRESETS = ("modern", "paper", "official", "mmdet")
"""The columns, in this order."""

REPOSITORIES = {
    "mmdet": "https://github.com/open-mmlab/mmdetection/blob/v3.3.0/",
    "configs": "https://github.com/open-mmlab/mmdetection/blob/v3.3.0/",
    "mmengine": "https://github.com/open-mmlab/mmengine/blob/v0.10.7/",
    "mmcv": "https://github.com/open-mmlab/mmcv/blob/v2.1.0/",
}
"""Where the files lie that mmdet.yaml names, by their first folder."""

AUTHORS = "https://github.com/kkhoot/PAA/blob/13d5721/"
"""The authors' files, as they have been since December 2020."""

INTRO = """\
# Presets: the paper, the authors' code, MMDetection

*Generated from `conf/compat/` by `make docs`. Edit those files, not this page.*

The paper, the authors' release and MMDetection disagree in many small things. Each of them is a key of `compat`. A
preset sets them all:

* `compat=modern` (the default of `mini` and `smoke`): the authors' choices with plain box arithmetic, the input
  that the backbone's weights need, and images without ground truth trained as all negative.
* `compat=paper`: the paper to the letter; where it says nothing, the authors' code.
* `compat=official` (the default of the `coco_*` recipes): the authors' code, which produced the published numbers.
* `compat=mmdet`: MMDetection 3.3.0 with its shipped configuration.

Choose a preset, and change any key of it to measure the effect of one disagreement:

    python -m paa.train recipe=coco_1x data.root=DIR compat=mmdet
    python -m paa.train recipe=coco_1x data.root=DIR compat.lambda_score=1.3
    python -m paa.train -m compat=official 'postprocess.sigma_t=0.0025,0.025'

The last command trains once and evaluates twice, because `sigma_t` acts only at test time.

In the tables, the second column lists the keys that read a value. `compat.legacy` is read in several places, each of
which can be set separately. A link leads to the file of the authors' code or of MMDetection with that value.
*as official* means that the paper says nothing. The `coco_*` recipes set `compat.input=weights` and
`compat.bn_eps=null`, because Caffe's weights cannot be downloaded.
"""

AGREED: tuple[tuple[str, str], ...] = (
    (
        "assign.boundary",
        "The boundary of Figure 3. According to the paper, any of a to d works; the authors' current code and"
        " MMDetection use (c). Until 2020-08-06 the authors' code used (b) with a bug in the negatives, which produced"
        " its first published numbers (kkhoot/PAA#8): `assign.boundary=b_2020`.",
    ),
    (
        "assign.boundary.em_dtype",
        "Both codes pass float32 scores to scikit-learn, which then keeps variances in float32: about one fit in eighty"
        " ends differently than in float64. `float32` is single precision throughout, not this mixed precision.",
    ),
    ("assign.topk", "Candidates per level, K."),
    ("anchors.scale", "Side of an anchor in strides."),
    ("auxiliary.lambda_1", "Weight of the GIoU loss: 1.3; 2.0 for centerness and for the IoU baseline without a head."),
    ("auxiliary.lambda_2", "Weight of the IoU prediction's loss: 0.5; 1.0 for centerness."),
    ("postprocess.score_threshold", "`compat.threshold_on` sets the score that is compared with it."),
    ("postprocess.nms_iou", "NMS per class."),
    ("postprocess.max_detections", "`compat.keep_ties` sets whether ties with the last one stay."),
    ("images.train.flip", "Probability of a mirror image."),
    (
        "criterion.floor",
        "Lower bound of P and W in a step. Theirs is 1 for the mean over GPUs, which for 8 GPUs is"
        " `criterion.floor=8`. It matters if 16 images have fewer than 8 positives, or weights that sum to less.",
    ),
    ("train.clip_norm", "Neither code clips gradients."),
    ("train.batch_size", "8 GPUs x 2 images; for X-152-32x8d see `compat.x152`."),
    ("optim.lr", "For 16 images a step."),
    ("schedule.warmup_steps", "Steps of the warmup."),
    ("backbone.frozen_stages", "By default stem and C2 are frozen if the backbone has weights."),
)
"""Keys in which the three agree, each with a note."""

FIXED = """\
## Without a key

* Crowds are not ground truths in training, in any of the three.
* The mixture's covariance is `full` in the authors' code and `diag` in MMDetection. In one dimension both are a
  single variance and differ only by rounding. MMDetection raises an error if all scores are equal; here all
  candidates then belong to component 0, and (c) takes the first.
* EM is scikit-learn's: means at the lowest and the highest score, precisions 1, weights 0.5, tol 1e-3, at most 100
  steps, 1e-6 added to the variances; each ground truth stops separately. Ties of peaks, of the best K and of IoUs go
  to the earliest; both codes leave some of them to an unstable sort.
* P6 is computed from P5. Convolutions of the head start at N(0, 0.01) with bias 0, the class bias at a prior of 0.01,
  the scalars of the levels at 1. Images are padded with zeros after normalization, to multiples of 32.
* GIoU never uses inclusive pixel coordinates, and boxes are not clipped in training.
* The stride is in the 1x1 convolution for Caffe's ResNets and in the 3x3 for all others: it follows the weights
  ([backbones](backbones.md)).

## Differences that remain

* Both codes group images by aspect ratio within the part of each GPU (`compat.aspect_grouping`); here the whole batch
  is one group, on any number of devices.
* MMDetection ends each epoch with an incomplete batch; here the remaining images start the next epoch.
* NMS and voting use float64 here and float32 there.
* Test images are padded together in batches of `images.test.batch_size`; set it to 1 for MMDetection's padding.
* The fallback of `compat.zero_weights=unweighted` uses the W of the whole step, on any number of devices and with
  `train.accumulate`; the authors' uses the positives of each GPU's two images. They differ if all predicted boxes of
  one GPU's positives have an IoU of 0 and those of another GPU do not: the box losses of the first then have weight 0
  here and weight 1 there. MMDetection's `floor` acts on single weights, so it does not depend on the number of GPUs.

With `assign=atss compat=mmdet`, losses and detections are those of MMDetection's ATSSHead; with any other assigner
they are those of its PAAHead."""


def page(folder: Path | None = None) -> str:
    """The page, in Markdown."""
    conf = Conf.read(folder or conf_dir())
    presets = {c.name: {key.name: key for key in c.own()} for c in conf.groups["compat"]}
    parts = [INTRO]
    for title, names in topics((folder or conf_dir()) / "compat" / f"{PRESETS[0]}.yaml"):
        parts += [f"## {title}\n", _table(conf, presets, names)]
    return "\n".join([*parts, "## Keys in which they agree\n", _agreed(), FIXED])


def topics(path: Path) -> Iterator[tuple[str, list[str]]]:
    """The headings of a preset, comments after an empty line, each with the keys below it."""
    names: list[str] = []
    title, before = "", "x"
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# ") and not before:
            if names:
                yield title, names
            title, names = line.removeprefix("# "), []
        elif line and not line.startswith(("#", " ")):
            names.append(f"compat.{line.partition(':')[0]}")
        before = line
    yield title, names


def link(preset: str, source: str) -> str:
    """A source as it stands on the page: a file as a link, a section of the paper as it is."""
    if preset == "paper":
        return source
    base = AUTHORS if preset == "official" else REPOSITORIES[source.split("/")[0]]
    return f"[{source.rpartition('/')[2]}]({base}{source})"


def _table(conf: Conf, presets: Mapping[str, Mapping[str, Key]], names: Sequence[str]) -> str:
    rows = [["key", "read by", *(f"`{preset}`" for preset in PRESETS), "meaning"], ["---"] * (len(PRESETS) + 3)]
    for name in names:
        readers = "<br>".join(f"`{reader}`" for reader in _readers(conf, name))
        cells = [_cell(preset, presets[preset][name]) for preset in PRESETS]
        rows.append([f"`{name}`", readers, *cells, conf.comment(presets[PRESETS[0]][name], "compat").meaning])
    return _markdown(rows)


def _readers(conf: Conf, name: str) -> list[str]:
    """What a user sets, of the keys that read `name`: what reads it by way of "_name_" keys in place of those."""
    found: list[str] = []
    for reader in conf.readers(name):
        if reader.rpartition(".")[2].startswith("_"):
            found += _readers(conf, reader)
        else:
            found.append(reader)
    return sorted(set(found))


def _cell(preset: str, key: Key) -> str:
    if key.references:
        return f"as `{key.references[0]}`"
    if preset == "modern":
        return f"`{key.written}`"
    source = link(preset, key.comment.source) if key.comment.source else "*as official*"
    return f"`{key.written}`<br>{source}"


def _agreed() -> str:
    compose = Composer()
    cfg = compose.compose(["recipe=coco_1x", "data.root=COCO"])
    chosen = compose.compose([]).assign.boundary  # of a group that is chosen by name the page shows the class
    rows = [["key", "value in `recipe=coco_1x`", "note"], ["---"] * 3]
    for key, note in AGREED:
        value = OmegaConf.select(cfg, key)
        shown = f"`{chosen._target_}`" if key == "assign.boundary" else f"`{_written(value)}`"
        rows.append([f"`{key}`", shown, note])
    return _markdown(rows)


def _written(value: object) -> str:
    return str(yaml.safe_dump(value, default_flow_style=True)).removesuffix("...\n").strip()


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |\n" for row in rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the page."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words:
        files.write_text(Path(words[0]), page())
    else:
        print(page(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
