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
from paa.config.compose import composer
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

*Made of `conf/compat/` by `make docs`; edit that, not this page.*

The paper, the authors' release and MMDetection disagree in many small things. Each of them is a key of `compat`, and a
preset sets them all:

* `compat=modern` (the default of `mini` and `smoke`): the authors' choices with plain box arithmetic, the backbone's
  own input, and images without ground truth trained as all negative.
* `compat=paper`: the letter of the paper; where it says nothing, what the authors' code does.
* `compat=official` (the default of the `coco_*` recipes): the authors' code, which made the published numbers.
* `compat=mmdet`: MMDetection 3.3.0 with its shipped configuration.

A preset is chosen as a whole, and any line of it is changed alone, so that what one disagreement is worth is a sweep:

    python -m paa.train recipe=coco_1x data.root=DIR compat=mmdet
    python -m paa.train recipe=coco_1x data.root=DIR compat.lambda_score=1.3
    python -m paa.train -m compat=official 'postprocess.sigma_t=0.0025,0.025'

The last is two evaluations of one training: what acts at test time alone trains nothing again. The second column says
which keys read a line; `compat.legacy` is read in several places, and each can be set by itself. A link is the file of
the authors' code or of MMDetection that a value is from, and *as official* that the paper says nothing. The `coco_*`
recipes set `compat.input=weights` and `compat.bn_eps=null`, since Caffe's weights are not for download.
"""

AGREED: tuple[tuple[str, str], ...] = (
    (
        "assign.boundary",
        "The boundary of Figure 3. The paper finds any of a to d fine; the present code of the authors and MMDetection"
        " run (c). Until 2020-08-06 the authors' code ran (b) with a slip in the negatives, which made its first"
        " published numbers (kkhoot/PAA#8): `assign.boundary=b_2020`.",
    ),
    (
        "assign.boundary.em_dtype",
        "Both codes hand float32 scores to scikit-learn, which then keeps variances in float32: about one fit in eighty"
        " ends otherwise than in float64. `float32` is single precision throughout, not that mixture.",
    ),
    ("assign.topk", "Candidates of each level, K."),
    ("anchors.scale", "Side of an anchor in strides."),
    ("auxiliary.lambda_1", "Weight of the GIoU loss: 1.3; 2.0 for centerness and for the IoU baseline without a head."),
    ("auxiliary.lambda_2", "Weight of the IoU prediction's loss: 0.5; 1.0 for centerness."),
    ("postprocess.score_threshold", "What it is compared with is `compat.threshold_on`."),
    ("postprocess.nms_iou", "NMS, class by class."),
    ("postprocess.max_detections", "Whether ties of the last one stay is `compat.keep_ties`."),
    ("images.train.flip", "Mirror images."),
    (
        "criterion.floor",
        "Least P and W of a step. Theirs is 1 on the mean over GPUs, so that of 8 GPUs is `criterion.floor=8`. It acts"
        " where 16 images have fewer than 8 positives, or weights that sum to less.",
    ),
    ("train.clip_norm", "Neither code clips gradients."),
    ("train.batch_size", "8 GPUs x 2 images; of X-152-32x8d see `compat.x152`."),
    ("optim.lr", "For 16 images a step."),
    ("schedule.warmup_steps", "Steps of the warm-up."),
    ("backbone.frozen_stages", "Left to itself, stem and C2 are frozen where the backbone has weights."),
)
"""Keys in which the three agree, with what is to be said of them."""

FIXED = """\
## Without a key

* Crowds are no ground truth in training, in any of them.
* The mixture's covariance is `full` in the authors' code and `diag` in MMDetection. In one dimension both are one
  variance, and differ in rounding alone. MMDetection's raises an error where all scores are equal; here all candidates
  then go to component 0, and (c) takes the first.
* EM is scikit-learn's: means at the least and the greatest score, precisions 1, weights 0.5, tol 1e-3, at most 100
  steps, 1e-6 added to the variances; each ground truth stops by itself. Ties of peaks, of the best K and of IoUs go to
  the earliest; both codes leave some of them to an unstable sort.
* P6 is made of P5. Convolutions of the head start at N(0, 0.01) with bias 0, the class bias at a prior of 0.01, the
  scalars of the levels at 1. Images are padded with zeros after normalization, to multiples of 32.
* GIoU never has the +1, and boxes are not clipped in training.
* The stride lies in the 1x1 convolution for Caffe's ResNets and in the 3x3 for all else: it follows the weights
  ([backbones](backbones.md)).

What no preset brings back: both codes group the images of a GPU's part of the batch by form (`compat.aspect_grouping`),
each GPU for itself; here the whole batch is of one form, on any number of devices. MMDetection ends each epoch with
what is left over; here it begins the next one. NMS and voting here are in float64, theirs in float32. Test images are
padded together in batches of `images.test.batch_size`; set it to 1 for MMDetection's.

With `assign=atss compat=mmdet` losses and detections are those of MMDetection's ATSSHead, and with any other assigner
those of its PAAHead.

The fallback of `compat.zero_weights=unweighted` looks at the W of the whole step, on any number of devices and with
`train.accumulate`; the authors' looks at the positives of each GPU's two images. They part where the predicted boxes of
one GPU's positives all have an IoU of 0 and those of another have not: that GPU's box losses are then left out here
(each has weight 0) and count 1 each there. MMDetection's `floor` acts on single weights, so that the number of GPUs is
nothing to it.
"""


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
    with composer() as compose:
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
