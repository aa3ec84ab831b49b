"""Weights & Biases for real, offline: what its own files hold after a stop and a resumption."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from wandb_files import history, records

from paa.engine.metrics import read
from paa.store.paths import RunPaths
from paa.store.record import EvaluationRecord, TrainingRecord

DRIVER = Path(__file__).with_name("offline_driver.py")


def test_a_stopped_training_is_one_wandb_run_with_each_step_once(tmp_path, smoke_data):
    ended = f"3-{os.getpid()}-unix-{tmp_path / 'of-a-parent'}"  # the process of wandb of one that has ended meanwhile
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(tmp_path), "WANDB_SERVICE": ended}
    command = [sys.executable, str(DRIVER), str(tmp_path), str(smoke_data)]
    where = tmp_path / "cwd"
    where.mkdir()
    done = subprocess.run(command, cwd=where, env=env, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["hooks"] == [True] * 4
    assert "wandb" not in done.stdout + done.stderr
    assert list(where.iterdir()) == []  # nothing of wandb's where the command ran

    here, plain = RunPaths(tmp_path / "tracked", told["id"]), RunPaths(tmp_path / "plain", told["id"])
    assert here.metrics.read_bytes() == plain.metrics.read_bytes()
    assert TrainingRecord.read(here.record).weights_sha256 == TrainingRecord.read(plain.record).weights_sha256

    stores = sorted((here.folder / "wandb").glob(f"offline-run-*/run-{told['id']}.wandb"))
    assert len(stores) == 2  # the third time there was nothing to do, and nothing was opened
    first, second = (history(path) for path in stores)
    assert [row["_step"] for row in first] == [2, 3, 4, 6]  # 8 waits for its evaluation
    assert [row["_step"] for row in second] == [8, 10, 12]
    assert json.loads((here.folder / "wandb" / "last_step.json").read_text()) == {"step": 12}
    rows = {row["_step"]: row for row in [*first, *second]}
    for line in read(here.metrics):
        prefix = f"{line['split']}/voting_on" if "split" in line else "train"
        for key, value in line.items():
            if key not in ("step", "split", "voting") and value is not None:
                assert rows[line["step"]][f"{prefix}/{key}"] == value, (line["step"], key)
    shown = {step: [k for k in row if k.startswith("assignment/")] for step, row in rows.items()}
    assert {step for step, keys in shown.items() if keys} == {3, 8}

    kinds = Counter()
    for path in stores:
        summary: dict[str, float] = {}
        for record in records(path):
            kinds[record.WhichOneof("record_type")] += 1
            for update in record.summary.update:
                summary["/".join(update.nested_key) or update.key] = json.loads(update.value_json)
            if record.WhichOneof("record_type") == "run":
                assert record.run.run_id == told["id"]
                assert record.run.resume
                assert list(record.run.tags) == ["test"]
                config = {u.key: json.loads(u.value_json) for u in record.run.config.update}
                assert config["assign"]["topk"] == 9
    assert kinds["run"] == 2
    found = [EvaluationRecord.read(path) for path in here.evals.glob("*.json")]
    for record in found:
        prefix = f"{record.split}/voting_{'on' if record.voting else 'off'}"
        assert {k: v for k, v in summary.items() if k.startswith(prefix)} == {
            f"{prefix}/{k}": v for k, v in record.numbers.items() if v is not None
        }
    assert summary["AP"] == next(record for record in found if record.voting).numbers["AP"]
