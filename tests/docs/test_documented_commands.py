"""Every command line and every line of Python in README.md and docs/ runs as written.

* Trainings get small data and a small network; at COCO's scale they are dry runs: trainings.py.
* `make` is run with -n, and the trainings among its commands are run. For `pip install` the extras are looked up.
* The files and folders that the pages assume are written here.

A command of an unknown form fails. A command that appears several times is run once.
"""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
from pathlib import Path

import mmdet_checkpoints
import numpy as np
import pytest
import torch
from analysis_scripts import script
from detectron_blobs import FILES, blobs
from pages import PAGES, REPO, Command, commands, write_files
from PIL import Image
from running import SHORT, TINY, call
from trainings import ANY, SMALL_SCALES, check_call, check_training

from paa.detector import weights
from paa.store.paths import runs
from paa.store.record import TrainingRecord

CORE = tuple(word for word in TINY if not word.startswith("data."))
SIZES = tuple(word for word in TINY if word.startswith("data."))
ONE_STEP = ("workers=0", "schedule.steps=1")

RECORDED = ("tracking.images.steps=[0,1.0]", "tracking.images.count=1")
"""Figure 4a is drawn from these pictures."""

COMMANDS = list({command.line: command for page in reversed(PAGES) for command in reversed(commands(page))}.values())
COMMANDS.reverse()
"""Each once, of the first page that has it."""

STANDS_FOR = {"DIR": "photos", "ID": None, "N": "1", "FILE": "detector.pth"}
"""Placeholders of the pages and what replaces them; ID is replaced by the run trained here."""

BOXES = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 4, 30, 30], "area": 900, "iscrowd": 0}]
IMAGE = {"id": 1, "file_name": "a.png", "width": 64, "height": 64}
IMAGES = {"images": [IMAGE], "categories": [{"id": 1, "name": "a"}]}
THING = "<object><name>a</name><bndbox><xmin>5</xmin><ymin>5</ymin><xmax>34</xmax><ymax>34</ymax></bndbox></object>"
SIZE = "<size><width>64</width><height>64</height><depth>3</depth></size>"


def write_data(root: Path) -> None:
    """Write one image with one box in every layout that paa reads (custom, COCO 2017, VOC), and without a layout."""
    annotated = json.dumps({**IMAGES, "annotations": BOXES})
    named = {f"annotations/{split}.json": annotated for split in ("train", "val", "test")}
    named |= {f"annotations/instances_{split}2017.json": annotated for split in ("train", "val")}
    named |= {f"ImageSets/Main/{split}.txt": "a\n" for split in ("train", "val", "trainval", "test")}
    named["annotations/image_info_test-dev2017.json"] = json.dumps(IMAGES)
    named["Annotations/a.xml"] = f"<annotation>{SIZE}{THING}</annotation>"
    for name, content in named.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    for place in ("images", "train2017", "val2017", "test2017", "JPEGImages", "."):
        (root / place).mkdir(exist_ok=True)
        Image.new("RGB", (64, 64), "white").save(root / place / "a.png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, smoke_data) -> Path:
    """Return the folder in which commands run: the checkout's conf and analysis, data, the files that pages show."""
    folder = tmp_path_factory.mktemp("reader")
    for name in ("analysis", "conf", "experiments", "docs"):
        (folder / name).symlink_to(REPO / name)
    for page in PAGES:
        write_files(page, folder)
    for name in ("runs", "trained"):
        (folder / name).mkdir()
        (folder / name / ".data").symlink_to(smoke_data)
    write_data(folder / "photos")
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    return folder


@pytest.fixture(scope="module")
def trained() -> dict[str, str]:
    """Return {key of TRAININGS: ID} of the runs finished so far; filled by `run_id`."""
    return {}


TRAININGS = {
    "test-dev": (*CORE, "data=coco", "data.root=photos", *ONE_STEP),
    "wandb sync": (*SHORT, "tracking=wandb", "tracking.mode=offline", "tracking.system_stats=false", "seed=6"),
    "backbone=efficientnet_lite0 finetune": ("recipe=mini", "backbone=efficientnet_lite0", *SIZES, *ANY, *ONE_STEP),
    "": (*SHORT, *RECORDED),
}
"""{part of a command: how to train the run that replaces its ID}; the first that fits."""


@pytest.fixture
def run_id(here, capsys, trained, command) -> str:
    """Return the ID of a finished run as the command needs it, trained once; "" for a training without ID."""
    if "paa.train" in command.line and "ID" not in re.findall(r"\w+", command.line):
        return ""
    kind = next(words for words in TRAININGS if words in command.line)
    if kind not in trained:
        before = {run.train_id for run in runs(here / "runs")}
        ended = call(capsys, "paa.train", "seed=5", *TRAININGS[kind])
        assert ended.code == 0, ended.err
        (trained[kind],) = {run.train_id for run in runs(here / "runs")} - before
    return trained[kind]


def filled(words: list[str], run_id: str) -> list[str]:
    """Return the words with their placeholders replaced."""
    table = {name: run_id if value is None else value for name, value in STANDS_FOR.items()}
    return [re.sub(r"\b(?:" + "|".join(table) + r")\b", lambda m: table[m[0]], word) for word in words]


def check_several(words: list[str], here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Run a training that torchrun starts; the record has the number of processes."""
    count = int(re.findall(r"--nproc[-_]per[-_]node[= ](\d+)", " ".join(words))[0])
    arguments = words[words.index("paa.train") + 1 :]
    check_training([*arguments, "seed=9"], here, capsys, processes=count)  # a run that no other command trains
    if not any(word.startswith("recipe=coco") for word in words):
        every = [TrainingRecord.read(run.record) for run in runs(here / "trained")]
        assert {record.world_size for record in every if record.seed == 9} == {count}


def write_checkpoint(path: Path) -> None:
    """Write a file of zeros: a PAA checkpoint of MMDetection, or for .pkl Detectron's weights of ResNet-50."""
    if path.suffix == ".pkl":
        zeros = {name: np.zeros(shape, np.float32) for name, shape in blobs(*FILES["MSRA/R-50"])}
        path.write_bytes(pickle.dumps({"blobs": zeros}, protocol=2))
        return
    state = {name: torch.zeros(shape) for name, shape in mmdet_checkpoints.read()["PAA R-18"].items()}
    torch.save({"meta": {"config": "bbox_head=dict(type='PAAHead')"}, "state_dict": state}, path)


def check_convert(words: list[str], here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = here / words[0]
    write_checkpoint(source)
    check_call("paa.convert", words, capsys)
    source.unlink()


def check_script(path: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a script of analysis/ in this process and assert that it succeeds."""
    monkeypatch.setattr(sys, "argv", [path, *words])
    assert not script(Path(path).stem).main()


def check_make(words: list[str], here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Assert that make knows the targets, and run the trainings among their commands."""
    done = subprocess.run(["make", "-n", *words], cwd=REPO, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    for training in re.findall(r"-m paa\.train (.*)", done.stdout.replace("\\\n", " ")):
        check_training(training.split(), here, capsys)


def check_python(code: str, here: Path) -> None:
    """Run a line of Python; paa can read the weights that it writes."""
    state = {"conv1.weight": torch.zeros(64, 3, 7, 7)}
    exec(compile(code, "<documentation>", "exec"), {"torch": torch, "state_dict": state})
    for name in re.findall(r"\w+\.pth", code):
        assert weights.read(here / name).state.keys() == state.keys()


def check_wandb(words: list[str]) -> None:
    """Run a wandb command with --dry-run: it finds the files of the run and sends nothing."""
    from click.testing import CliRunner
    from wandb.cli.cli import cli

    ended = CliRunner().invoke(cli, [*words, "--dry-run"])
    assert ended.exit_code == 0, ended.output


def check_pip(words: list[str]) -> None:
    project = (REPO / "pyproject.toml").read_text()
    for extra in re.findall(r"\[([\w,-]+)\]", " ".join(words)):
        for name in extra.split(","):
            assert re.search(rf"^{name} = \[", project, re.M), f"pyproject.toml has no extra {name}"


def module_of(words: list[str]) -> tuple[str, list[str]] | None:
    """Return the module that a command runs and its arguments: python -m X, torchrun ... -m X, paa-x."""
    if words[0] == "torchrun":
        words = ["python", *words[words.index("-m") :]]
    scripts = dict(re.findall(r'^(paa-[\w-]+) = "([\w.]+):main"', (REPO / "pyproject.toml").read_text(), re.M))
    if words[0] in scripts:
        return scripts[words[0]], words[1:]
    return (words[2], words[3:]) if words[:2] == ["python", "-m"] else None


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_documented_command_runs(command: Command, here, run_id, capsys, monkeypatch):
    words = filled(command.words, run_id)
    named = module_of(words)
    if named is not None:
        module, arguments = named
        if module == "paa.train":
            if words[0] == "torchrun":
                check_several(words, here, capsys)
            else:
                check_training(arguments, here, capsys)
        elif module in ("paa.evaluate", "paa.predict"):
            check_call(module, arguments, capsys, "workers=0", *(SMALL_SCALES if "multiscale" in command.line else ()))
        elif module == "paa.convert":
            check_convert(arguments, here, capsys)
        elif module == "paa.runs" and arguments[:1] in (["cancel"], ["resubmit"]):
            ended = call(capsys, module, *arguments)  # nothing was submitted from here
            assert ended.code == 1
            assert "submitted" in ended.err
        elif module in ("paa.runs", "paa.data"):
            check_call(module, arguments, capsys)
        elif module == "docs.generate.reference":
            check_call(module, [str(here / "page.md")], capsys)
        else:
            pytest.fail(f"no test knows how to check: {command}")
    elif words[:2] == ["python", "-c"]:
        check_python(words[2], here)
    elif words[0] == "python" and words[1].startswith("analysis/"):
        check_script(words[1], words[2:], monkeypatch)
    elif words[0] == "make":
        check_make(words[1:], here, capsys)
    elif words[0] == "pip":
        check_pip(words[1:])
    elif words[0] == "wandb":
        check_wandb(words[1:])
    else:
        pytest.fail(f"no test knows how to check: {command}")


def test_there_are_commands_of_every_page():
    found = {command.page for command in COMMANDS}
    assert {"README.md", "own-boundary.md"} <= found
    assert len(COMMANDS) > 15


def test_commands_are_found_wherever_they_stand(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "Text with `python -m paa.train seed=1` in it.\n\n    make demo    # a comment\n    some output\n\n"
        "```sh\n$ python -m paa.runs\nexport A=1\npython -m paa.train \\\n    seed=2  # two\n```\n\n"
        "```python\nmake = 1\n```\n\n`x/y.yaml`:\n\n```yaml\nmake: 3\n```\n\n"
        "    CUDA_VISIBLE_DEVICES=0 paa-train a='b c'\n"
    )
    found = [command.line for command in commands(page)]
    assert found == [
        "make demo",
        "python -m paa.runs",
        "export A=1",
        "python -m paa.train seed=2",
        "CUDA_VISIBLE_DEVICES=0 paa-train a='b c'",
    ]
    assert commands(page)[-1].words == ["paa-train", "a=b c"]
    write_files(page, tmp_path)
    assert (tmp_path / "x" / "y.yaml").read_text() == "make: 3\n"


def test_links_to_files_exist():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if not re.match(r"https?://", link):
                assert (page.parent / link).exists(), f"{page.name}: {link}"
