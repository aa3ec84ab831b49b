"""`python -m paa.runs`: list, show and diff."""

import json
import subprocess
import sys

import pytest
from records import config, write_run

from paa.commands.runs import main
from paa.store.paths import RunPaths


def unfinished(runs_dir, name="t7"):
    import yaml

    paths = RunPaths(runs_dir, name)
    paths.folder.mkdir()
    paths.config.write_text(yaml.safe_dump(config()))
    return paths


def test_list(tmp_path, capsys):
    write_run(tmp_path, 1)
    write_run(tmp_path, 2, boundary={"_target_": "paa.assign.boundary.C"}, evaluations=0)
    write_run(tmp_path, 3, assign={"_target_": "paa.assign.ATSS", "topk": 9})
    unfinished(tmp_path)
    (tmp_path / "t0000000003" / "record.json").write_text("{")
    assert main(["--runs-dir", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split() == ["id", "state", "recipe", "data", "assign", "auxiliary", "seed", "steps", "AP"]
    assert lines[1].startswith("t0000000001  done")
    assert "fnp(3)" in lines[1]
    assert lines[1].endswith("val 41.0, val+voting 42.0")
    assert " paa " in lines[2]
    assert lines[4].startswith("t7           interrupted            mini    shapes")
    assert err.count("warning:") == 1
    assert "t0000000003/record.json: not JSON" in err
    assert main(["list", "--runs-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out == out


def test_nothing_there_says_what_to_do(tmp_path, capsys):
    assert main(["--runs-dir", str(tmp_path)]) == 0
    assert "python -m paa.train" in capsys.readouterr().out


def test_show(tmp_path, capsys):
    write_run(tmp_path, 1)
    write_run(tmp_path, 2)
    assert main(["--runs-dir", str(tmp_path), "show", "t0000000001"]) == 0
    out = capsys.readouterr().out
    for part in (
        "done",
        "overrides: assign.boundary=fnp",
        "a processor",
        "assign.boundary.n",
        "d" * 64,
        "AP ring",
        "iou_error",
    ):
        assert part in out
    assert "val e0000000001" in out
    assert main(["--runs-dir", str(tmp_path), "show", "t00"]) == 1
    assert "run=t00: ambiguous" in capsys.readouterr().err
    unfinished(tmp_path)
    assert main(["show", "t7", "--runs-dir", str(tmp_path)]) == 0
    assert "schedule.steps" in capsys.readouterr().out


def test_evaluations_of_one_title_are_told_apart_by_their_settings(tmp_path, capsys):
    write_run(tmp_path, 1, evaluations=2)
    folder = tmp_path / "t0000000001" / "evals"
    for number, path in enumerate(sorted(folder.glob("*.json"))):
        content = json.loads(path.read_text())
        content["postprocess"] |= {"voting": True, "sigma_t": [0.0025, 0.025][number]}
        path.write_text(json.dumps({**content, "voting": True, "iou_error_positives": 0.25}))
    for command in (["show", "t0000000001"], []):
        assert main(["--runs-dir", str(tmp_path), *command]) == 0
        out = capsys.readouterr().out
        assert "val+voting sigma_t=0.0025" in out
        assert "val+voting sigma_t=0.025" in out
        assert ("iou_error_positives" in out) == bool(command)


def test_diff(tmp_path, capsys):
    write_run(tmp_path, 1)
    write_run(tmp_path, 2, evaluations=1, seed=4, boundary={"_target_": "paa.assign.boundary.C"})
    changed = tmp_path / "t0000000002" / "evals" / "e0000000001.json"
    changed.write_text(changed.read_text().replace('"AP50": 41.0', '"AP50": 43.5'))
    assert main(["diff", "t0000000001", "t0000000002", "--runs-dir", str(tmp_path)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["seed", "0", "4"] in lines
    assert ["assign.boundary.n", "3", "(none)"] in lines
    assert ["val", "AP50", "41", "43.5", "2.5"] in lines
    assert not any(line[:1] == ["recipe.name"] for line in lines)
    assert not any("AP75" in line for line in lines)
    assert main(["diff", "t0000000001", "t0000000001", "--runs-dir", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "The configurations do not differ." in out
    assert "none whose numbers differ" in out


def test_help_is_help(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("show", "diff", "list", "status", "resubmit", "--runs-dir"))
    with pytest.raises(SystemExit) as end:
        main(["shwo"])
    assert end.value.code == 2


def test_a_reader_that_stops_reading_is_no_error(tmp_path):
    for i in range(40):
        (tmp_path / f"t{i:03d}{'x' * 200}").mkdir()
    command = [sys.executable, "-m", "paa.runs", "--runs-dir", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 0
