"""`python -m paa.runs prune`: what may go, what a table still needs, and that nothing goes unasked."""

from __future__ import annotations

import pytest
from running import TINY, as_finished

from paa.commands.runs import main
from paa.files import _ASIDE
from paa.planning.prune import needed_weights, pieces, remove
from paa.planning.rows import rows_of
from paa.store.lock import acquire
from paa.store.paths import RunPaths

SOME = "table2=atss_none,paa_iou,paa_iou_p"
DIGESTS = {"data.train": "1" * 64, "data.val": "2" * 64}


@pytest.fixture
def rows(here):
    """Rows of Table 2 with records as a training under TINY leaves them, weights and a forgotten checkpoint."""
    found = {}
    for row in rows_of(SOME, TINY, digests=DIGESTS).all:
        if row.name != "paa_iou_p":  # an evaluation of paa_iou that nobody has asked for yet
            overrides = [f"table2={row.name}", *TINY]
            as_finished(row.paths, row.config, row.evaluations, DIGESTS, overrides=overrides, choices=dict(row.choices))
            row.paths.weights.write_bytes(b"w" * 1000)
        found[row.name] = row
    return found


def test_what_is_left_over_goes_and_nothing_else(rows, here):
    finished, other = rows["atss_none"].paths, RunPaths(here / "runs", "t0000000000")
    for paths in (finished, other):
        paths.checkpoints.mkdir(parents=True)
        (paths.checkpoints / "00000010.pt").write_bytes(b"c" * 500)
        (paths.folder / f".log.123{_ASIDE}").write_bytes(b"l" * 50)
    kept = {path for path in (here / "runs").rglob("*") if path.is_file() and not path.is_symlink()}
    found = pieces(here / "runs", weights=False, needed={})
    aside, checkpoints = "left by a killed process", "checkpoints of a finished run"
    assert [(one.run.train_id, one.what, one.bytes) for one in found] == [
        (other.train_id, aside, 50),
        (finished.train_id, aside, 50),
        (finished.train_id, checkpoints, 500),
    ]
    assert remove(found) == 600
    gone = {path for path in kept if not path.exists()}
    assert gone == {path for one in found for path in one.files}
    assert (other.checkpoints / "00000010.pt").exists()  # it is not finished, and goes on from there
    assert not finished.checkpoints.exists()
    assert pieces(here / "runs", weights=False, needed={}) == []


def test_a_run_that_somebody_works_on_is_left_alone(rows, here):
    paths = rows["atss_none"].paths
    paths.checkpoints.mkdir()
    (paths.checkpoints / "00000010.pt").write_bytes(b"c")
    found = pieces(here / "runs", weights=True, needed={})
    with acquire(paths.lock):
        assert paths.train_id not in {one.run.train_id for one in pieces(here / "runs", weights=True, needed={})}
        assert remove([one for one in found if one.run == paths]) == 0
    assert paths.weights.exists()


def test_weights_that_a_row_still_wants_stay(rows, here):
    wanted, unwanted = rows["paa_iou"], rows["atss_none"]
    assert rows["paa_iou_p"].train_id == wanted.train_id
    needed = needed_weights(here / "runs", only=[SOME])
    assert needed == {wanted.train_id: "table2=paa_iou_p lacks 1 evaluation on val"}
    found = pieces(here / "runs", weights=True, needed=needed)
    assert [(one.run.train_id, one.what) for one in found] == [(unwanted.train_id, "final weights")]
    # Once it is evaluated, they may go.
    as_finished(wanted.paths, wanted.config, rows["paa_iou_p"].evaluations, DIGESTS, overrides=[*TINY])
    assert needed_weights(here / "runs", only=[SOME]) == {}


def test_converted_weights_stay_whatever_the_tables_say(rows, here):
    row = rows["atss_none"]
    converted = RunPaths(here / "runs", "x0000000000")
    as_finished(converted, row.config, row.evaluations, DIGESTS)
    converted.weights.write_bytes(b"w" * 1000)
    found = pieces(here / "runs", weights=True, needed={})
    assert {one.run.train_id for one in found} == {row.train_id, rows["paa_iou"].train_id}


def test_weights_that_another_run_starts_from_or_that_cannot_be_judged_stay(rows, here):
    started, strange = rows["atss_none"], rows["paa_iou"]
    waiting = RunPaths(here / "runs", "t0000000000")
    waiting.folder.mkdir()
    waiting.config.write_text(f"init:\n  weights: {started.train_id[:6]}\n")
    every, overrides = [*strange.evaluations, *rows["paa_iou_p"].evaluations], ["assign.boundary=mine", *TINY]
    as_finished(strange.paths, strange.config, every, DIGESTS, overrides=overrides)
    needed = needed_weights(here / "runs", only=[SOME])
    assert needed[started.train_id] == "t0000000000 starts from them"
    assert needed[strange.train_id].startswith(
        "what it was asked for cannot be composed (assign.boundary=mine: no such"
    )


def test_the_command_asks_before_it_removes(rows, here, capsys, monkeypatch):
    paths = rows["atss_none"].paths
    monkeypatch.setattr("paa.planning.prune.tables", lambda compose: [SOME])
    assert main(["prune", "runs_dir=runs"]) == 0
    assert capsys.readouterr().out == "Nothing can go. --weights looks at final weights, too.\n"
    assert main(["prune", "--weights"]) == 0
    out = capsys.readouterr().out
    assert f"{rows['paa_iou'].train_id}  keeps its weights: table2=paa_iou_p lacks 1 evaluation on val\n" in out
    assert f"{paths.train_id}  final weights  1 kB\n" in out
    assert out.endswith("\n1 kB could go; nothing was removed. --yes removes.\n")
    assert paths.weights.exists()
    assert main(["prune", "--weights", "--yes"]) == 0
    assert capsys.readouterr().out.endswith("\n1 kB freed\n")
    assert not paths.weights.exists()
    assert rows["paa_iou"].paths.weights.exists()
    assert paths.finished


def test_weights_stay_until_the_server_s_images_have_had_their_turn(here):
    """Table 3 is of COCO's test-dev, whose images may come later: nothing of them is here."""
    words = ["recipe=coco_2x", f"data.root={here / 'coco'}", "device=cpu"]
    for row in (every := rows_of("table3=resnet101", words, digests=DIGESTS).all):
        as_finished(
            row.paths,
            row.config,
            row.evaluations,
            DIGESTS,
            overrides=[f"table3={row.name}", *words],
            choices=dict(row.choices),
        )
        row.paths.weights.write_bytes(b"w")
    (run,) = {row.train_id for row in every}
    assert all(row.paths.evaluation(e.eval_id).exists() for row in every for e in row.evaluations)
    assert needed_weights(here / "runs", only=["table3=resnet101"])[run].endswith("on test-dev")
