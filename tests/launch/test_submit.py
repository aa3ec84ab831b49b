"""What goes to sbatch, and what does not get there."""

import dataclasses
import os
import subprocess
from pathlib import Path

import pytest
from fakes import FakeSlurm, slurm, sweep  # noqa: F401
from omegaconf import OmegaConf
from running import TINY, call
from submitit.slurm.slurm import _make_sbatch_string

from docs.generate.comments import read_choice
from paa.checks import OutOfRange
from paa.config.paths import conf_dir
from paa.launch.content import absolute
from paa.launch.ranks import meeting_place, port
from paa.launch.settings import LocalSettings, SlurmSettings
from paa.launch.submit import AGAIN_S, Refused, parameters, submit

LAUNCHERS = conf_dir() / "hydra" / "launcher"


@pytest.mark.parametrize(("name", "kind"), [("slurm", SlurmSettings), ("local", LocalSettings)])
def test_the_file_has_every_key_with_its_default_and_a_comment(name, kind):
    node = OmegaConf.to_container(OmegaConf.load(LAUNCHERS / f"{name}.yaml"))
    node.pop("_target_")
    assert node == dataclasses.asdict(kind())
    choice = read_choice(LAUNCHERS / f"{name}.yaml", "hydra.launcher")
    assert {key.name.split(".")[-1] for key in choice.keys} == set(node)
    for key in choice.keys:
        assert key.comment.meaning, key.name
        assert key.comment.values, key.name


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("timeout_min", 0, "timeout_min=0 is out of range: must be an integer from 1"),
        ("partition", "", "partition=: must be a name or null"),
        ("gpus_per_node", -1, "gpus_per_node=-1 is out of range"),
        ("mem_gb", 0, "mem_gb=0 is out of range: must be a number above 0"),
        ("signal_delay_s", 43201, "signal_delay_s=43201: must be at most half of timeout_min, 43200 s"),
        ("wait", "no", "wait=no: must be true or false"),
        ("setup", [1], "must be a list of shell commands"),
        ("max_array", 0, "max_array=0 is out of range"),
        ("poll_s", 0.1, "poll_s=0.1 is out of range"),
    ],
)
def test_a_value_out_of_range_is_refused(key, value, told):
    with pytest.raises(OutOfRange, match=told):
        SlurmSettings(**{key: value})


def test_a_gpu_is_asked_for_with_cuda_alone_and_one_for_each_process():
    assert [SlurmSettings().gpus(device) for device in ("cpu", "auto", "cuda")] == [0, 0, 1]
    assert SlurmSettings(tasks_per_node=8).gpus("cuda") == 8
    assert SlurmSettings(gpus_per_node=4, tasks_per_node=2).gpus("cuda") == 4
    assert SlurmSettings().cpus(3) == 4


def script(settings: SlurmSettings, gpus: int = 0) -> list[str]:
    asked = parameters(settings, "paa-x", gpus, 2, Path("/logs"))
    names = {"tasks_per_node": "ntasks_per_node"}
    return _make_sbatch_string("run", "/logs", **{names.get(k, k): v for k, v in asked.items()}).splitlines()


def test_the_batch_script():
    lines = script(SlurmSettings(partition="gpu", mem_gb=1.5, setup=["module load cuda"]), gpus=1)
    for line in (
        "#SBATCH --time=1440",
        "#SBATCH --signal=USR2@180",
        "#SBATCH --requeue",
        "#SBATCH --open-mode=append",
        "#SBATCH --mem=1536MB",
        "#SBATCH --partition=gpu",
        "#SBATCH --gpus-per-node=1",
        "#SBATCH --cpus-per-task=2",
        "module load cuda",
        "exit $code",
    ):
        assert line in lines, line
    assert any(line.startswith("srun ") and "--cpus-per-task=2" in line for line in lines)
    assert not any("gpu" in line for line in script(SlurmSettings()))
    assert "exit $code" not in script(SlurmSettings(max_requeues_after_kill=0))
    assert "#SBATCH --hold=yes" in script(SlurmSettings(additional_parameters={"hold": "yes"}))


@pytest.mark.parametrize(("code", "before", "again"), [(137, 0, True), (140, 1, True), (137, 2, False), (1, 0, False)])
def test_the_end_of_the_script_puts_back_what_was_killed_so_many_times(slurm, tmp_path, code, before, again):  # noqa: F811
    """Run by a shell: scontrol is asked, unless it was asked so often already."""
    counter = tmp_path / "77.kills"
    if before:
        counter.write_text(f"{before}\n")
    lines = parameters(SlurmSettings(max_requeues_after_kill=2), "paa-x", 0, 1, tmp_path)["teardown"]
    text = "\n".join([f"(exit {code})", *lines]).replace(f"sleep {AGAIN_S}", "true")
    done = subprocess.run(
        ["bash", "-c", text], env={**os.environ, "SLURM_JOB_ID": "77"}, capture_output=True, check=False
    )
    assert done.returncode == code
    assert slurm.calls("scontrol") == (["requeue 77"] if again else [])
    assert counter.exists() == (again or bool(before))
    assert not again or counter.read_text() == f"{before + 1}\n"


def test_arrays_are_as_long_as_the_cluster_takes_and_a_training_is_one_job(slurm, tmp_path):  # noqa: F811
    slurm.says("scontrol", "MaxArraySize            = 4\n")
    slurm.says("sbatch", "Submitted batch job 7\n")
    made = sweep(
        tmp_path / "s", 9, **{k: v for k, v in dataclasses.asdict(SlurmSettings()).items() if k != "timeout_min"}
    )
    twins = [dataclasses.replace(e, train_id="t0000000000") if e.number < 2 else e for e in made.entries]
    made = dataclasses.replace(made, entries=tuple(twins), directory=str(tmp_path))
    made.write({"config": {"device": "cpu", "workers": 0}, "overrides": [], "choices": {}} for _ in range(9))
    arrays = submit(made, list(range(9)), lambda text: None)
    assert [array.parts for array in arrays] == [((0, 1), (2,), (3,), (4,)), ((5,), (6,), (7,), (8,))]
    assert len(slurm.calls("sbatch")) == 2


def test_what_sbatch_says_is_told(slurm, tmp_path):  # noqa: F811
    slurm.says(
        "sbatch", code=1, error="sbatch: error: invalid partition specified: x\nsbatch: error: Batch job failed\n"
    )
    made = dataclasses.replace(sweep(tmp_path / "s", 1), directory=str(tmp_path))
    made.write([{"config": {"device": "cpu", "workers": 0}, "overrides": [], "choices": {}}])
    with pytest.raises(Refused, match=r"^sbatch: error: invalid partition specified: x$"):
        submit(made, [0], lambda text: None)
    assert made.ids() == {}


def test_a_sweep_that_another_version_noted_is_refused_by_name(slurm, tmp_path):  # noqa: F811
    with pytest.raises(Refused, match=r"noted by another version of paa \(old_key\); give its command again"):
        submit(sweep(tmp_path / "s", old_key=1), [0], lambda text: None)


@pytest.mark.parametrize("name", ["signal", "requeue", "open-mode"])
def test_what_keeps_a_run_safe_cannot_be_undone(name):
    with pytest.raises(OutOfRange, match=rf"\.{name}: would undo what keeps a run safe; "):
        SlurmSettings(additional_parameters={name: "x"})


def test_another_signal_than_ours_is_refused(slurm, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("SUBMITIT_PREEMPT_SIGNAL", "USR1")
    with pytest.raises(Refused, match="SUBMITIT_PREEMPT_SIGNAL=USR1: runs save at USR2 alone"):
        submit(sweep(tmp_path), [0], lambda text: None)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["hydra/launcher=slurm"], "a launcher runs the jobs of a sweep, also of one job; add -m"),
        (
            ["-m", "hydra/launcher=slurm", "hydra.launcher.timeout_min=0"],
            "hydra.launcher.timeout_min=0 is out of range",
        ),
        (["-m", "hydra/launcher=local", "hydra.launcher.n=0"], "hydra.launcher.n=0 is out of range"),
        (["-m", "hydra/launcher=slurm", "train.batch_size=2", "hydra.launcher.tasks_per_node=4"], "train.batch_size=2"),
        (["-m", "hydra/launcher=slurm", "+hydra.launcher.partion=x"], "hydra.launcher.partion: no such key"),
    ],
)
def test_what_could_never_run_is_refused_before_anything_is_submitted(here, capsys, slurm, words, told):  # noqa: F811
    ended = call(capsys, "paa.train", *TINY, "seed=0", *words)
    assert ended.code == 2
    assert told in ended.err
    assert "Traceback" not in ended.err
    assert slurm.calls("sbatch") == []
    assert not (here / "runs" / ".sweeps").exists()


def test_without_a_cluster_it_says_so(here, capsys, monkeypatch):
    monkeypatch.setattr("paa.launch.sweep.shutil.which", lambda name: None)
    ended = call(capsys, "paa.train", *TINY, "-m", "seed=0", "hydra/launcher=slurm")
    assert ended.code == 2
    assert "there is no sbatch on the PATH" in ended.err


def test_paths_become_absolute_and_names_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pth").touch()
    config = {
        "runs_dir": "runs",
        "data": {"root": "~/coco", "split": "val"},
        "backbone": {"weights": "w.pth"},
        "finetune": {"from": "t0123456789"},
    }
    found = absolute(config)
    assert found["runs_dir"] == str(tmp_path / "runs")
    assert found["data"] == {"root": str(Path("~/coco").expanduser()), "split": "val"}
    assert found["backbone"]["weights"] == str(tmp_path / "w.pth")
    assert found["finetune"]["from"] == "t0123456789"
    assert config["runs_dir"] == "runs", "what was given stays as it is"
    assert absolute({**config, "backbone": {"weights": "torchvision"}})["backbone"]["weights"] == "torchvision"


def test_the_meeting_place_is_a_name_that_leads_somewhere():
    assert meeting_place(["localhost"], {}) == "localhost"
    environment = {"SLURM_LAUNCH_NODE_IPADDR": "10.0.0.7"}
    assert meeting_place(["no-such-host.invalid"], environment) == "10.0.0.7"
    ports = {port(f"45571719_{i}", {}) for i in range(50)}
    assert len(ports) == 50
    assert port("7", {}) != port("7", {"SLURM_RESTART_COUNT": "1"})
    assert all(20000 <= one < 40000 for one in ports)
