from __future__ import annotations

import functools

import pytest
import torch
from running import TINY, configuration, experiment
from test_precision import batch

from paa.engine import checkpoint, compiling
from paa.experiment.parts import assemble
from paa.store.record import TrainingRecord

EAGER = functools.partial(torch.compile, backend="eager")


def test_checkpoints_know_nothing_of_it(tmp_path, smoke_data, monkeypatch):
    """With a backend that compiles nothing, so that numbers are those of the plain network, to the last bit."""
    calls = []

    def spied(function, **rest):
        calls.append(function)
        return EAGER(function, **rest)

    monkeypatch.setattr(compiling.torch, "compile", spied)
    keys = (f"data.root={smoke_data}", "schedule.steps=3")
    plain, other = experiment(tmp_path, *keys), experiment(tmp_path, *keys, "compile=true")
    assert plain.identity.train_id != other.identity.train_id
    for one in (plain, other):
        one.run()
    assert len(calls) == 2, "the probe and the detector, of one of the two"
    weights = checkpoint.load(other.identity.paths.weights)
    assert not any("_orig_mod" in name for name in weights)
    digests = [TrainingRecord.read(one.identity.paths.record).weights_sha256 for one in (plain, other)]
    assert digests[0] == digests[1]


def test_a_missing_compiler_is_one_line(monkeypatch):
    parts = assemble(configuration(*TINY, "compile=true"))

    def fails(function):
        def called(*args):
            raise RuntimeError("No working C++ compiler found\n\nSet TORCHDYNAMO_VERBOSE=1")

        return called

    monkeypatch.setattr(compiling.torch, "compile", fails)
    with pytest.raises(compiling.CannotCompile, match=r"^compile=true: .*\(No working C\+\+ compiler found\)[^\n]*$"):
        parts.core(parts.detector(5))


@pytest.mark.slow
def test_a_compiled_network_computes_the_same():
    """With the real compiler, in training, and with images of two sizes."""
    parts = assemble(configuration(*TINY, "compile=true"))
    plain = assemble(configuration(*TINY)).core(parts.detector(5))
    core = parts.core(parts.detector(5))
    for number in range(2):
        assert core.losses(batch(number), 0.5).tolist() == pytest.approx(
            plain.losses(batch(number), 0.5).tolist(), rel=1e-4
        )
