"""The error of the predicted IoU over assigned positives: by hand, and in the record of a real evaluation."""

import pytest
import torch
from running import SHORT, call, experiment, only_run

from paa.auxiliary import IoUPrediction
from paa.boxes import iou_pairs
from paa.datasets.loader import test_batches as batches_of
from paa.evaluation.iou_error import PositiveErrors, mean_error
from paa.experiment.experiment import final_detector
from paa.store.record import EvaluationRecord, TrainingRecord
from paa.structures import IGNORED, NEGATIVE, Anchors, Assignment, Batch, Predictions, Targets

BOXES = torch.tensor([[0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 40.0, 40.0]])


class Same:
    """A coder whose decoded boxes are the deltas."""

    def decode(self, deltas, anchors):
        return deltas


def batch(index, deltas, logits, boxes=BOXES):
    """A batch of one image with the ground truths `boxes`, and what an assigner and a network make of it."""
    targets = Targets.pad([boxes], [torch.zeros(len(boxes), dtype=torch.int64)])
    size = torch.tensor([[64, 64]])
    anchors = Anchors(torch.zeros(len(deltas), 4), torch.zeros(len(deltas), dtype=torch.int64), None, (), ())
    predictions = Predictions(None, torch.tensor([deltas]), torch.tensor([logits]).logit())
    found = Assignment(torch.tensor([index]))
    errors = PositiveErrors(lambda a, p, t, progress: found if progress == 1.0 else None, Same(), IoUPrediction())
    errors(Batch(torch.zeros(1, 3, 64, 64), size, size, targets, (7,)), predictions, anchors)
    return errors.rows


def test_by_hand():
    # IoU 0.5 predicted as 0.6, IoU 0.25 as 0.9; an ignored and a negative anchor count nowhere.
    deltas = [[0.0, 0.0, 10.0, 5.0], [20.0, 20.0, 30.0, 30.0], [0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 1.0, 1.0]]
    rows = batch([0, 1, IGNORED, NEGATIVE], deltas, [0.6, 0.9, 0.1, 0.1])
    assert rows == [(7, 2, pytest.approx(0.1 + 0.65, abs=1e-6))]
    assert mean_error(rows) == (pytest.approx(0.375, abs=1e-6), 2)


def test_an_image_without_ground_truth_has_no_positive():
    rows = batch([NEGATIVE], [[0.0, 0.0, 1.0, 1.0]], [0.5], boxes=torch.zeros(0, 4))
    assert rows == [(7, 0, 0.0)]
    assert mean_error(rows) == (None, 0)
    assert mean_error([]) == (None, 0)


def test_the_mean_is_over_anchors_and_in_any_order_of_images():
    rows = [(3, 1, 0.1), (1, 3, 0.9), (2, 0, 0.0)]
    assert mean_error(rows) == (pytest.approx(0.25), 4)
    assert mean_error(rows[::-1]) == mean_error(rows)


def test_the_record_has_it_with_voting_and_without(here, capsys):

    ended = call(capsys, "paa.train", *SHORT)
    assert ended.code == 0, ended.err
    run = only_run(here)
    records = [EvaluationRecord.read(path) for path in sorted(run.evals.glob("*.json"))]
    assert {record.voting for record in records} == {False, True}
    assert len({(record.iou_error_positives, record.positives) for record in records}) == 1

    one = experiment(run.runs_dir, "schedule.steps=4")
    assert one.identity.train_id == run.train_id
    detector = final_detector(one.parts, run, TrainingRecord.read(run.record)).eval()
    errors = []
    with torch.no_grad():
        for found in batches_of(one.parts.source.index("val"), one.parts.test_transform(detector.backbone), 4):
            predictions, anchors = one.parts.core(detector).predict(found)
            index = one.parts.assigner(anchors, predictions, found.targets, 1.0).gt_index
            decoded = one.parts.coder.decode(predictions.deltas, anchors.boxes)
            for b, a in (index >= 0).nonzero().tolist():
                true = iou_pairs(decoded[b, a], found.targets.boxes[b, index[b, a]])
                errors.append(abs(float(predictions.auxiliary[b, a].sigmoid()) - float(true)))
    assert records[0].positives == len(errors) > 0
    assert records[0].iou_error_positives == pytest.approx(sum(errors) / len(errors), abs=1e-5)


def test_without_an_iou_prediction_there_is_none(here, capsys):

    ended = call(capsys, "paa.train", *SHORT, "auxiliary=none", "postprocess.voting=false")
    assert ended.code == 0, ended.err
    (path,) = only_run(here).evals.glob("*.json")
    record = EvaluationRecord.read(path)
    assert (record.iou_error_positives, record.positives) == (None, None)
