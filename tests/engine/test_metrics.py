import json

import pytest

from paa.engine.metrics import Metrics, read


def test_lines_in_the_order_of_writing(tmp_path):
    metrics = Metrics(tmp_path / "metrics.jsonl")
    metrics.write(step=20, loss=1.5, lr=0.01)
    metrics.write(step=20, AP=3.0, split="val")
    metrics.close()
    assert (
        tmp_path / "metrics.jsonl"
    ).read_text() == '{"step":20,"loss":1.5,"lr":0.01}\n{"step":20,"AP":3.0,"split":"val"}\n'
    assert read(tmp_path / "metrics.jsonl") == [
        {"step": 20, "loss": 1.5, "lr": 0.01},
        {"step": 20, "AP": 3.0, "split": "val"},
    ]


def test_what_came_after_the_checkpoint_is_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    metrics = Metrics(path)
    metrics.write(step=20, loss=1.0)
    mark = metrics.mark()
    metrics.write(step=20, AP=1.0)
    metrics.write(step=40, loss=0.5)
    metrics.close()
    again = Metrics(path, mark)
    assert [line["step"] for line in read(path)] == [20]
    again.write(step=40, loss=0.5)
    assert again.mark() == 2
    again.close()
    Metrics(path).close()
    assert path.read_text() == ""


def test_a_line_that_a_kill_tore_is_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step":1,"loss":1.0}\n{"step":2,"lo')
    metrics = Metrics(path, 5)
    metrics.write(step=2, loss=0.9)
    metrics.close()
    assert [line["step"] for line in read(path)] == [1, 2]
    assert metrics._lines == 2


def test_floats_survive_and_what_is_no_number_becomes_null(tmp_path):
    path = tmp_path / "metrics.jsonl"
    metrics = Metrics(path)
    metrics.write(step=1, a=0.1 + 0.2, b=float("nan"), c=float("inf"), d=None)
    metrics.close()
    line = json.loads(path.read_text())
    assert line == {"step": 1, "a": 0.1 + 0.2, "b": None, "c": None, "d": None}
    Metrics(path, 1).close()
    assert json.loads(path.read_text()) == line


def test_reading_skips_what_is_no_line_of_ours(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert read(path) == []
    path.write_text('[1]\n{"loss":1}\n{"step":"x"}\n\n{"step":3}\n')
    assert read(path) == [{"step": 3}]


def test_the_guard_is_asked_before_each_line_and_before_opening(tmp_path):
    held = True

    def ensure_lock_held():
        if not held:
            raise RuntimeError("lost")

    path = tmp_path / "metrics.jsonl"
    metrics = Metrics(path, ensure_lock_held=ensure_lock_held)
    metrics.write(step=1)
    held = False
    with pytest.raises(RuntimeError, match="lost"):
        metrics.write(step=2)
    metrics.close()
    with pytest.raises(RuntimeError, match="lost"):
        Metrics(path, ensure_lock_held=ensure_lock_held)  # would drop the line, which may be another's
    assert read(path) == [{"step": 1}]
