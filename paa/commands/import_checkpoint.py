"""Import a checkpoint of another project: compose its configuration, rename its weights, write the run or the file."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from paa import files
from paa.config.compose import Composer, resolved
from paa.conversion import classes, detectron, matching, network_spec, projects, safe_load
from paa.conversion.errors import ConversionError
from paa.conversion.mmdetection import AUXILIARY
from paa.conversion.naming import SourceModel
from paa.conversion.network_spec import BackboneSpec, HeadSpec
from paa.datasets.formats.sources import Shapes
from paa.detector import Detector, ResNet
from paa.engine import checkpoint
from paa.experiment.parts import Components, assemble
from paa.log import print_line
from paa.store.code_digest import code_digests
from paa.store.identity import converted_id, file_digest
from paa.store.paths import RunPaths
from paa.store.provenance import origin
from paa.store.record import TrainingRecord

PRESETS = {"official": "official", "mmdet": "mmdet", "torchvision": "modern"}
CONVENTIONS = {"official": "caffe", "mmdet": "torchvision", "torchvision": "torchvision"}

OTHER_SIZES = "resnext101_64x4d"
"""The choice of `backbone` in which any other number and width of groups is set."""

FILES = (".pth", ".pt")
"""Endings of OUT that request a file of weights instead of a run."""


@dataclass(frozen=True)
class Conversion:
    """An imported detector: everything that goes into a run or a file.

    parts, choices  of its configuration.
    categories      [id, name] of each class; whose, where these are from.
    detector        the network; its own weights mean nothing.
    state           the weights under our names; fresh, the names that IN has no weights for.
    """

    source: Path
    found: safe_load.LoadedCheckpoint
    model: SourceModel
    parts: Components
    choices: dict[str, str]
    categories: list[list[Any]]
    whose: str
    detector: Detector
    state: dict[str, torch.Tensor]
    fresh: list[str]


def convert(source: Path, out: Path, overrides: Sequence[str], compose: Composer) -> None:
    """Write the run or the file `out`. ConversionError and ConfigError if that is not possible."""
    as_file = out.suffix in FILES
    folders = out.parents if as_file else (out, *out.parents)
    blocking = next((path for path in folders if path.exists() and not path.is_dir()), None)
    if blocking is not None:
        raise ConversionError(
            f"{out}: {blocking} is a file; must be the folder of runs, or a file ending in {FILES[0]}"
        )
    if as_file and out.exists() and source.exists() and out.samefile(source):
        raise ConversionError(f"{out}: is IN itself; must be another file")
    if source.suffix == ".pkl":
        _write_backbone(source, out, overrides)
        return
    made = converted(source, safe_load.load(source), overrides, compose, None if as_file else out)
    if as_file:
        _write_file(made, out)
    else:
        _write_run(made, out, overrides)


def converted(
    source: Path, found: safe_load.LoadedCheckpoint, overrides: Sequence[str], compose: Composer, runs_dir: Path | None
) -> Conversion:
    """Return the detector of the checkpoint `found` in the file `source`; nothing is written.

    overrides  of the configuration; they win over the checkpoint.
    runs_dir   folder of runs, for which the detector must be complete; None: parts of one are enough.
    ConversionError and ConfigError if that is not possible.
    """
    with _about(source):
        model = projects.convert(found)
        if model.other and runs_dir is not None:
            other = "; ".join(f"{part} ({reason})" for part, reason in model.other.items())
            hint = f"a file as OUT, {source.stem}-converted.pth say, takes the rest to start a training from"
            raise ConversionError(f"is no whole detector of paa: {other}; {hint}")
    renamed = model.renamed
    named = {o.key_or_group: o.value() for o in compose.parse(overrides)}
    with _about(source):
        body = network_spec.backbone_spec(renamed.state, "backbone.")
        told = _described(model, body, network_spec.head_spec(renamed.state), named, compose)
    folder = str(runs_dir or "runs").replace("'", "\\'")
    ours = {key: value for key, value in {"runs_dir": f"'{folder}'", **told}.items() if key not in named}
    parts = assemble(resolved(compose.compose([*(f"{key}={value}" for key, value in ours.items()), *overrides])))
    groups = set(compose.groups())
    choices = {key: str(value) for key, value in {**ours, **named}.items() if key in groups}
    categories, whose = _take_classes(source, model, parts, "data.root" in named)
    with torch.device("cpu" if model.other else "meta"):  # no numbers are drawn that nothing would keep
        detector = parts.detector(len(categories), load_weights=False)
    state, fresh = matching.match_state(detector.state_dict(), renamed, source, tuple(model.other))
    return Conversion(source, found, model, parts, choices, categories, whose, detector, state, fresh)


def _take_classes(source: Path, model: SourceModel, parts: Components, has_data: bool) -> tuple[list[list[Any]], str]:
    """Return the classes and where they are from; reorders the outputs of the class logits to match."""
    renamed = model.renamed
    logits = renamed.state.get("head.cls_logits.weight")
    with _about(source):
        if has_data or isinstance(parts.source, Shapes):
            parts.source.prepare()
            split = (parts.config["evaluate"]["splits"] or parts.source.names)[0]
            categories, whose = parts.source.index(split).categories, f"data.root={parts.source.root}"
        elif logits is None:
            categories, whose = classes.coco(), "COCO"
        else:
            categories = classes.categories_of(model, logits.shape[0])
            whose = "COCO" if categories == classes.coco() else source.name
        if logits is not None:
            rows = torch.tensor(classes.rows(model, logits.shape[0], categories, whose))
            for name, value in renamed.state.items():
                if name.startswith("head.cls_logits.") and value.shape[:1] == logits.shape[:1]:
                    renamed.state[name] = value.index_select(0, rows)
    return categories, whose


def _write_run(made: Conversion, out: Path, overrides: Sequence[str]) -> None:
    """Write the folder of a finished run, its record last."""
    made.detector.load_state_dict(made.state, assign=True)
    matching.check_norms(made.detector, made.source)
    digest = checkpoint.digest(made.state)
    paths = RunPaths(out, converted_id(made.parts.config, digest))
    form = network_spec.backbone_spec(made.state, "backbone.")
    what = f"{made.choices['assign']} of {projects.TITLES[made.model.kind]}, {form}"
    print_line(f"{paths.train_id}  {made.source}: {what}, {len(made.categories)} classes of {made.whose}")
    _print_left_out(paths.train_id, made.model.renamed.unused, made.found.skipped)
    if paths.finished and paths.weights.exists():
        print_line(f"{paths.train_id}  already imported: {paths.folder}")
    else:
        record = TrainingRecord(
            train_id=paths.train_id,
            config=dict(made.parts.config),
            overrides=list(overrides),
            digests={},
            seed=made.parts.config["seed"],
            threads=made.parts.config["threads"],
            device="cpu",
            steps=0,
            started=time.time(),
            wall_s=0.0,
            weights_sha256=digest,
            origin=origin(),
            choices=made.choices,
            code=code_digests(made.parts.config),
            categories=made.categories,
            converted={"kind": made.model.kind, "file": made.source.name, "sha256": file_digest(made.source)},
        )
        files.write_text(paths.config, yaml.safe_dump(dict(made.parts.config), sort_keys=False))
        checkpoint.save(paths.weights, made.state)
        record.write(paths.record)
        print_line(f"{paths.train_id}  {paths.folder}: a finished run, imported")
    where = "" if out == Path("runs") else f" runs_dir={out}"
    print_line(f"{paths.train_id}  python -m paa.evaluate run={paths.train_id}{where} data.root=DIR")


def _write_file(made: Conversion, out: Path) -> None:
    convention = made.parts.config["backbone"]["convention"]
    checkpoint.save(out, {"convention": convention, "state": made.state})
    _print_left_out(str(out), made.model.renamed.unused, made.found.skipped)
    for part, reason in made.model.other.items():
        print_line(f"{out}  fresh, not converted: {part} ({reason})")
    taken = len(made.state) - len(made.fresh)
    backbone = f"backbone={made.choices['backbone']} backbone.convention={convention}"
    print_line(f"{out}  {taken} tensors of {made.source}; finetune.from={out} {backbone} starts from them")


def _write_backbone(source: Path, out: Path, overrides: Sequence[str]) -> None:
    """Write Detectron's pickle as a file for backbone.weights."""
    if overrides:
        raise ConversionError(f"{overrides[0]}: the weights of a backbone have no configuration; must be only IN OUT")
    if out.suffix not in FILES:
        hint = f"{source.stem}.pth say, for backbone.weights={source.stem}.pth"
        raise ConversionError(f"{source}: holds a backbone and no detector; OUT must be a file, {hint}")
    blobs, no_arrays = detectron.read(source)
    with _about(source):
        renamed = detectron.convert(blobs)
        form = network_spec.backbone_spec(renamed.state)
    renamed.unused += no_arrays
    with torch.device("meta"):
        network = ResNet(**asdict(form), weights=str(source), norm="frozen", convention="caffe", load_weights=False)
    state, _ = matching.match_state(network.state_dict(), renamed, source)
    checkpoint.save(out, {"convention": "caffe", "state": state})
    _print_left_out(str(out), renamed.unused)
    print_line(f"{out}  {form} of Detectron, {len(state)} tensors, for BGR from 0 to 255")
    print_line(f"{out}  backbone.weights={out} trains from it; its BatchNorm has no epsilon: compat.bn_eps=0")


def _print_left_out(name: str, unused: Sequence[str], skipped: Sequence[str] = ()) -> None:
    if unused:
        print_line(f"{name}  left out, not needed: {', '.join(sorted(unused))}")
    if skipped:
        print_line(f"{name}  not read, objects beside the weights: {', '.join(skipped)}")


def _described(
    model: SourceModel, body: BackboneSpec, head: HeadSpec, named: Mapping[str, Any], compose: Composer
) -> dict[str, str]:
    """Return {key or group: value as typed} for everything that differs from the recipe.

    named  keys on the command line, which win over the checkpoint.
    ConversionError if neither the checkpoint nor the command line says what it was trained with.
    """
    assigner, auxiliary = _method(model, named)
    out = {
        "recipe": "coco_1x",  # for the sizes of images and network; its keys of training mean nothing here
        "recipe.name": "converted",
        "compat": PRESETS[model.kind],
        "assign": assigner,
        "auxiliary": auxiliary,
        "data": "coco",
        "recipe.channels": str(head.channels),
        "detector.head.depth": str(head.depth),
        "detector.head.tower_bias": str(head.tower_bias).lower(),
        "detector.head.dcn": str(head.dcn).lower(),
        "backbone.weights": f"'converted from {model.kind}'",  # no file of that name is looked for
        "backbone.convention": CONVENTIONS[model.kind],
    }
    out |= _backbone(body, compose)
    if named.get("data", "coco") == "coco":
        out["data.root"] = "coco"  # evaluate takes data.root=DIR, predict needs none
    if assigner != "paa":
        out["postprocess.voting"] = "false"  # a step of PAA's
    if model.kind == "torchvision":
        out["anchors.center"] = "0.0"
    if model.anchor_scale is not None:
        out["anchors.scale"] = f"{model.anchor_scale:g}"
    return out


def _method(model: SourceModel, named: Mapping[str, Any]) -> tuple[str, str]:
    """Return the choices of `assign` and `auxiliary`."""
    assigner = str(named.get("assign", model.assigner or ""))
    if not assigner:
        which = " or ".join(f"assign={name}" for name in model.candidates)
        raise ConversionError(f"does not say what it was trained with, and its names fit several; add {which}")
    auxiliary = str(named.get("auxiliary", model.auxiliary or AUXILIARY.get(assigner, "")))
    if not auxiliary:
        raise ConversionError(f"assign={assigner}: add what its extra output predicts, auxiliary=iou or centerness")
    return assigner, auxiliary


def _backbone(body: BackboneSpec, compose: Composer) -> dict[str, str]:
    plain = (body.groups, body.width_per_group) == (1, 64)
    name = f"resnet{body.depth}" if plain else f"resnext{body.depth}_{body.groups}x{body.width_per_group}d"
    out = {"backbone": name}
    if name not in compose.options("backbone"):
        sizes = ("depth", "groups", "width_per_group")
        out = {"backbone": OTHER_SIZES} | {f"backbone.{key}": str(getattr(body, key)) for key in sizes}
    if body.dcn_stages:
        deformable = f"{out['backbone']}_dcn"
        out["backbone"] = deformable if deformable in compose.options("backbone") else out["backbone"]
        out["backbone.dcn_stages"] = f"[{','.join(map(str, body.dcn_stages))}]"
    return out


@contextmanager
def _about(source: Path) -> Iterator[None]:
    """Prefix a ConversionError of the block with the file's name."""
    try:
        yield
    except ConversionError as error:
        raise ConversionError(f"{source}: {error}") from error
