from types import SimpleNamespace

from paa.commands.report import NUMBERS, table


def evaluation(ap, split="val", voting=False, error=0.1):
    return SimpleNamespace(split=split, voting=voting, numbers=dict.fromkeys(NUMBERS, ap), iou_error=error)


def job(name, *records, finished=None):
    finished = bool(records) if finished is None else finished
    return SimpleNamespace(identity=SimpleNamespace(train_id=name), records=lambda: list(records), finished=finished)


def test_a_row_an_evaluation_told_apart_by_what_jobs_do_not_share():
    jobs = [
        (["recipe=smoke", "seed=0"], job("t1", evaluation(51.23), evaluation(52.0, voting=True))),
        (["recipe=smoke", "seed=1"], job("t2", evaluation(None, "test", error=None))),
    ]
    lines = table(jobs, {}).splitlines()
    assert lines[0].split() == ["run", "what", "split", "voting", *NUMBERS, "IoU", "error"]
    assert lines[1].split() == ["t1", "seed=0", "val", "off", *["51.2"] * 6, "0.100"]
    assert lines[2].split() == ["t1", "seed=0", "val", "on", *["52.0"] * 6, "0.100"]
    assert lines[3].split() == ["t2", "seed=1", "test", "off", *["-"] * 7]


def test_a_single_job_shows_all_it_was_asked_for():
    assert table([([], job("t1", evaluation(1.0)))], {}).splitlines()[1].split()[1] == "defaults"
    row = table([(["seed=1", "assign=atss"], job("t1", evaluation(1.0)))], {}).splitlines()[1]
    assert "seed=1 assign=atss" in row


def test_jobs_that_failed_or_did_not_finish_say_so():
    jobs = [
        (["seed=0"], job("t1")),
        (["seed=1"], job("t2")),
        (["seed=2"], job("t3", evaluation(3.0))),
        (["seed=3"], job("t3", evaluation(4.0))),
    ]
    lines = table(jobs, {0: "the loss of step 3 is not finite", 3: "no room on the disk"}).splitlines()
    assert lines[1] == "t1   seed=0  failed: the loss of step 3 is not finite"
    assert lines[2] == "t2   seed=1  not finished"
    assert lines[3].startswith("t3   seed=2  val    off ")
    assert lines[4].startswith("t3   seed=3  val    off ")
    assert lines[5] == "t3   seed=3  failed: no room on the disk"
    assert len({line.index("val") for line in lines[3:5]}) == 1


def test_a_training_that_asks_for_no_evaluation_is_finished_without_one():
    jobs = [(["seed=0"], job("t1", finished=True)), (["seed=1"], job("t2")), (["seed=2"], job("t3", finished=True))]
    lines = table(jobs, {2: "no room on the disk"}, {0: "left to another", 1: "left to another"}).splitlines()
    assert lines[1:3] == ["t1   seed=0  finished; no evaluation was requested", "t2   seed=1  left to another"]
    assert lines[3] == "t3   seed=2  failed: no room on the disk"
