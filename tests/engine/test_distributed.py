"""One training by several processes over gloo: the numbers of one process, and none waits for one that has gone."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from paa.checks import OutOfRange
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.formats.sources import Shapes
from paa.datasets.loader import train_batches
from paa.datasets.sampler import TrainSampler
from paa.datasets.transforms import Transform
from paa.engine import distributed
from paa.engine.distributed import SINGLE_PROCESS, ProcessGroup, shard

DRIVER = Path(__file__).with_name("several_processes.py")
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def told(tmp_path_factory, smoke_data):
    """What the driver saw: {case: [(what a process gave or raised, seconds)]}."""
    folder = tmp_path_factory.mktemp("processes")
    with (folder / "err").open("w") as err:
        command = [sys.executable, str(DRIVER), str(folder), str(smoke_data)]
        done = subprocess.run(command, stdout=err, stderr=err, timeout=500, check=False)
    assert done.returncode == 0, (folder / "err").read_text()
    sys.path.insert(0, str(DRIVER.parent))
    return pickle.loads((folder / "outcome.pkl").read_bytes())


def lines(told, case):
    return [json.loads(line) for line in told[case][0][0]["metrics"].splitlines()]


def one_of(told, case):
    return [result for result, _ in told[case]]


@pytest.mark.parametrize("name", ["paa", "atss", "parts"])
def test_a_batch_gives_the_same_losses_and_gradients_on_two_processes(told, name):
    """Uneven numbers of ground truths, a process without any, five images over two processes, and none at all."""
    (alone,), (first, second) = one_of(told, "cores 1"), one_of(told, "cores 2")
    assert first[name][1] == second[name][1], "the weights have come apart"
    for (numbers, grads), (other, other_grads) in zip(alone[name][0], first[name][0], strict=True):
        assert other == pytest.approx(numbers, rel=TOLERANCE)
        assert grads.keys() == other_grads.keys()
        for key, grad in grads.items():
            assert torch.allclose(other_grads[key], grad, rtol=1e-3, atol=3e-5 * float(grad.abs().max())), key
    assert alone[name][0][1][0][4] == 6  # the second batch has ground truths, in its first half alone


def test_local_normalizers_give_the_mean_over_processes(told):
    """MMDetection's: each process has a mean of its own, which counts by its share of the images."""
    (halves,), (shared, _) = one_of(told, "halves"), one_of(told, "cores 2")
    losses, counts = shared["local"][0][0][0][:3], shared["local"][0][0][0][3:]
    assert losses == pytest.approx([(a + b) / 2 for a, b in zip(*halves, strict=True)][:3], rel=TOLERANCE)
    assert counts == [a + b for a, b in zip(*halves, strict=True)][3:]
    (alone,) = one_of(told, "cores 1")
    assert losses != pytest.approx(alone["local"][0][0][0][:3], rel=1e-4)


def test_a_training_is_the_same_on_two_processes(told):
    """With sizes drawn per image, so that a share padded by itself would be another image to GroupNorm."""
    alone, both = lines(told, "whole 1"), lines(told, "whole 2")
    assert [line["step"] for line in alone] == [line["step"] for line in both]
    for one, other in zip(alone, both, strict=True):
        for key in ("loss", "loss_cls", "loss_box", "loss_aux", "positives", "without_positive"):
            if key in one:
                assert other[key] == pytest.approx(one[key], rel=TOLERANCE), (one["step"], key)
    first, second = (result["record"] for result in one_of(told, "whole 2"))
    (record,) = (result["record"] for result in one_of(told, "whole 1"))
    assert (record.world_size, first.world_size) == (1, 2)
    assert record.train_id == first.train_id
    assert first == second
    names = {name for name in one_of(told, "whole 1")[0]["files"] if not name.startswith("evals/")}
    assert names == {name for name in one_of(told, "whole 2")[0]["files"] if not name.startswith("evals/")}


def test_an_evaluation_is_the_same_on_two_processes(told):
    """Of the same weights: every number and every detection."""
    both, alone = one_of(told, "whole 2")[0], one_of(told, "evaluated alone")[0]
    assert both["matches"] == alone["matches"]
    assert len(both["matches"]) == 2
    for one, other in zip(both["evaluations"], alone["evaluations"], strict=True):
        assert one.detections > 0
        timeless = [{**vars(record), "wall_s": 0, "origin": 0} for record in (one, other)]
        assert timeless[0] == timeless[1]


def test_a_stop_of_any_process_stops_all_at_one_step_and_resumes_bit_for_bit(told):
    """The second process alone was signaled."""
    assert one_of(told, "stopped") == [("Interrupted", "stopped by SIGTERM after step 3; everything is saved")] * 2
    whole, resumed = one_of(told, "whole 2")[0], one_of(told, "resumed")[0]
    assert resumed["record"].weights_sha256 == whole["record"].weights_sha256
    assert resumed["metrics"] == whole["metrics"]


def test_what_one_process_began_two_go_on_with(told):
    assert one_of(told, "stopped alone")[0][0] == "Interrupted"
    alone, grown = lines(told, "whole 1"), lines(told, "grown")
    assert [x["loss"] for x in grown if "loss" in x] == pytest.approx(
        [x["loss"] for x in alone if "loss" in x], rel=TOLERANCE
    )
    assert one_of(told, "grown")[0]["record"].world_size == 2


def test_with_local_normalizers_only_as_many_processes_go_on(told):
    assert one_of(told, "stopped local")[0][0] == "Interrupted"
    ((kind, text),) = one_of(told, "shrunk local")
    assert kind == "ConfigError"
    assert text.startswith("train.processes=2: must be 1")
    assert one_of(told, "resumed local")[0]["record"].world_size == 2


def test_a_failure_ends_all_processes(told):
    (main, took), (other, _) = told["failed"]
    assert main[0] == "PeerFailed"
    assert main[1].endswith("process 1 failed: a lens cap")
    assert other == ("ValueError", "a lens cap")
    assert took < 60


def test_a_process_that_is_killed_ends_the_others(told):
    main, took = told["killed"][0]
    assert main[0] == "PeerFailed"
    assert took < 60


def test_more_processes_than_images_are_refused(told):
    kind, text = one_of(told, "too many")[0]
    assert kind == "ConfigError"
    assert text.startswith("train.batch_size=1: ")


def test_all_leave_a_run_that_another_trains(told):
    for result in one_of(told, "busy"):
        assert result["evaluations"] == []
        assert result["record"] is None


def test_what_the_processes_tell_one_another(told):
    main, other = one_of(told, "primitives")
    assert main["trained"] == other["trained"] == [True, True]
    assert main["gradients"] == other["gradients"] == [[3.0, 3.0, 3.0], torch.arange(12.0).view(2, 3, 1, 2).tolist()]
    assert main["unused"] is other["unused"] is None
    assert main["all_reduce_max"] == other["all_reduce_max"] == [1, 0]
    assert main["gather"] == [{"rank": 0}, {"rank": 1}]
    assert other["gather"] == []
    assert main["run_on_main"] == other["run_on_main"] == "of 0"
    assert main["first_error"] == other["first_error"] == [None, "problem of 1"]
    assert main["broadcast"] == other["broadcast"] == [0.0, 0.0]


def test_a_barrier_waits_for_a_late_process_and_not_for_one_that_failed(told):
    assert one_of(told, "barriers") == [(True, "PeerFailed"), (True, "ValueError")]


def test_a_process_alone_does_nothing_with_others():
    tensor = torch.ones(2)
    assert SINGLE_PROCESS.all_reduce(tensor) is tensor
    assert SINGLE_PROCESS.all_reduce_max(3, 0) == [3, 0]
    assert SINGLE_PROCESS.gather("x") == ["x"]
    assert SINGLE_PROCESS.run_on_main(lambda: 7) == 7
    assert SINGLE_PROCESS.first_error("no") == "no"
    with pytest.raises(ZeroDivisionError), SINGLE_PROCESS.report_failure():
        1 / 0  # noqa: B018
    assert SINGLE_PROCESS.is_main
    assert not ProcessGroup(1, 2).is_main


@pytest.mark.parametrize(("count", "size"), [(5, 2), (16, 8), (7, 3), (3, 3)])
def test_shares_are_contiguous_even_and_all(count, size):
    pieces = [list(range(count))[shard(rank, size, count)] for rank in range(size)]
    assert [number for piece in pieces for number in piece] == list(range(count))
    assert max(map(len, pieces)) - min(map(len, pieces)) <= 1


def test_an_incomplete_environment_is_refused():
    distributed.destroy_process_group()
    with pytest.raises(OutOfRange, match=r"^WORLD_SIZE=2\b.*LOCAL_RANK, MASTER_PORT"):
        distributed.process_group({"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "here"})
    assert distributed.process_group({}) is SINGLE_PROCESS
    assert distributed.process_group({"WORLD_SIZE": "1", "RANK": "0"}) is SINGLE_PROCESS


def test_shares_of_a_batch_are_the_batch_in_its_padding(tmp_path):
    """Each share is padded as the whole batch is, whatever sizes its images draw."""
    source = Shapes(tmp_path, train=12, val=1, test=1, size=64)
    source.prepare(quiet=True)
    index: CocoIndex = source.index("train")
    transform = Transform(short=[30, 110], flip=0.5)
    sampler = TrainSampler(index.heights, index.widths, 5, 3)
    whole = list(train_batches(index, transform, sampler, steps=4))
    shares = [
        list(train_batches(index, transform, sampler, steps=4, share=lambda count, rank=rank: shard(rank, 2, count)))
        for rank in range(2)
    ]
    alone = 0
    for batch, *parts in zip(whole, *shares, strict=True):
        assert torch.equal(torch.cat([part.images for part in parts]), batch.images)
        assert sum((part.image_ids for part in parts), ()) == batch.image_ids
        assert torch.equal(torch.cat([part.sizes for part in parts]), batch.sizes)
        alone += any(-(-int(part.sizes.max()) // 32) * 32 < batch.images.shape[-1] for part in parts)
    assert alone, "no share would have been padded otherwise by itself: the test shows nothing"
