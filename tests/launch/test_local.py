"""hydra/launcher=local: several runs at a time, here."""

import json

from running import SHORT, call, rows

from paa.store.paths import runs
from paa.store.record import TrainingRecord


def test_runs_side_by_side_end_as_one_after_the_other(here, capsys):
    words = [*SHORT, "-m", "seed=0,1", "postprocess.voting=false,true"]
    ended = call(capsys, "paa.train", *words, "hydra/launcher=local", "hydra.launcher.n=2")
    assert ended.code == 0, ended.err
    assert "2 runs, 2 at a time; logs in " in ended.out
    assert len(rows(ended.out)) == 4
    made = {run.train_id: TrainingRecord.read(run.record).weights_sha256 for run in runs(here / "runs")}
    assert len(made) == 2
    (log, _) = sorted((here / "runs").glob(".sweeps/*/local/*.log"))
    assert "trains on" in log.read_text()
    (submitted,) = (here / "runs").glob(".sweeps/*/submitted.json")
    assert json.loads(submitted.read_text())["settings"] == {"n": 2}
    serial = call(capsys, "paa.train", *SHORT, "-m", "seed=0,1", "runs_dir=serial", "data.root=runs/.data")
    assert serial.code == 0, serial.err
    assert {run.train_id: TrainingRecord.read(run.record).weights_sha256 for run in runs(here / "serial")} == made
