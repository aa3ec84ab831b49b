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
from paa.launch.ranks import address, port
from paa.launch.settings import LocalSettings, SlurmSettings
from paa.launch.submit import AGAIN_S, NotSubmitted, parameters, submit

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
    ("key", "value"),
    [
        ("timeout_min", 0),
        ("partition", ""),
        ("gpus_per_node", -1),
        ("mem_gb", 0),
        ("signal_delay_s", 43201),
        ("wait", "no"),
        ("setup", [1]),
        ("max_array", 0),
        ("poll_s", 0.1),
        ("additional_parameters", "x"),
    ],
)
def test_a_value_out_of_range_is_rejected(key, value):
    with pytest.raises(OutOfRange) as error:
        SlurmSettings(**{key: value})
    assert error.value.name == key


@pytest.mark.parametrize("name", ["signal", "requeue", "open-mode", "chdir"])
def test_an_option_that_resuming_depends_on_is_rejected(name):
    with pytest.raises(OutOfRange) as error:
        SlurmSettings(additional_parameters={name: "x"})
    assert error.value.name == "additional_parameters"


def test_gpus_are_asked_for_only_with_cuda_one_for_each_process():
    assert [SlurmSettings().gpus(device) for device in ("cpu", "auto", "cuda")] == [0, 0, 1]
    assert SlurmSettings(tasks_per_node=8).gpus("cuda") == 8
    assert SlurmSettings(gpus_per_node=4, tasks_per_node=2).gpus("cuda") == 4
    assert SlurmSettings().needs({"device": "cuda", "workers": 3}) == (1, 4)
    assert SlurmSettings(cpus_per_task=2).needs({"device": "cpu", "workers": 3}) == (0, 2)


def script(settings: SlurmSettings, gpus: int = 0) -> list[str]:
    asked = parameters(settings, "paa-x", gpus, 2, Path("/logs"), "/here")
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
        "#SBATCH --chdir=/here",
        "module load cuda",
        "exit $code",
    ):
        assert line in lines, line
    assert any(line.startswith("srun ") and "--cpus-per-task=2" in line for line in lines)
    assert not any("gpu" in line for line in script(SlurmSettings()))
    assert "exit $code" not in script(SlurmSettings(max_requeues_after_kill=0))
    assert "#SBATCH --hold=yes" in script(SlurmSettings(additional_parameters={"hold": "yes"}))


@pytest.mark.parametrize(("code", "before", "again"), [(137, 0, True), (140, 1, True), (137, 2, False), (1, 0, False)])
def test_the_end_of_the_script_requeues_what_was_killed_so_many_times(slurm, tmp_path, code, before, again):  # noqa: F811
    """Run by a shell: scontrol is asked, unless it was asked so often already."""
    counter = tmp_path / "77.kills"
    if before:
        counter.write_text(f"{before}\n")
    lines = parameters(SlurmSettings(max_requeues_after_kill=2), "paa-x", 0, 1, tmp_path, "/here")["teardown"]
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
    made = sweep(tmp_path / "s", 9)
    twins = [dataclasses.replace(e, train_id="t0000000000") if e.number < 2 else e for e in made.entries]
    made = dataclasses.replace(made, entries=tuple(twins))
    arrays = submit(made, list(range(9)))
    assert [array.parts for array in arrays] == [[[0, 1], [2], [3], [4]], [[5], [6], [7], [8]]]
    assert len(slurm.calls("sbatch")) == 2


def test_the_error_is_sbatch_s_own(slurm, tmp_path):  # noqa: F811
    slurm.says(
        "sbatch", code=1, error="sbatch: error: invalid partition specified: x\nsbatch: error: Batch job failed\n"
    )
    made = sweep(tmp_path / "s", 1)
    with pytest.raises(NotSubmitted, match=r"^sbatch: error: invalid partition specified: x$"):
        submit(made, [0])
    assert made.ids() == {}


def test_another_signal_than_ours_is_rejected(slurm, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("SUBMITIT_PREEMPT_SIGNAL", "USR1")
    with pytest.raises(NotSubmitted, match=r"^SUBMITIT_PREEMPT_SIGNAL=USR1: "):
        submit(sweep(tmp_path), [0])


@pytest.mark.parametrize(
    ("words", "start"),
    [
        (["hydra/launcher=slurm"], "hydra/launcher=...: "),
        (
            ["-m", "hydra/launcher=slurm", "hydra.launcher.timeout_min=0"],
            "hydra.launcher.timeout_min=0",
        ),
        (["-m", "hydra/launcher=local", "hydra.launcher.n=0"], "hydra.launcher.n=0"),
        (["-m", "hydra/launcher=slurm", "train.batch_size=2", "hydra.launcher.tasks_per_node=4"], "train.batch_size=2"),
        (["-m", "hydra/launcher=slurm", "+hydra.launcher.partion=x"], "hydra.launcher.partion: "),
    ],
)
def test_what_could_never_run_is_rejected_before_anything_is_submitted(here, capsys, slurm, words, start):  # noqa: F811
    ended = call(capsys, "paa.train", *TINY, "seed=0", *words)
    assert ended.code == 2
    assert ended.err.splitlines()[-1].startswith(f"paa.train: {start}")
    assert slurm.calls("sbatch") == []
    assert not (here / "runs" / ".sweeps").exists()


def test_without_a_cluster_it_is_rejected(here, capsys, monkeypatch):
    monkeypatch.setattr("paa.launch.sweep.shutil.which", lambda name: None)
    ended = call(capsys, "paa.train", *TINY, "-m", "seed=0", "hydra/launcher=slurm")
    assert ended.code == 2
    assert ended.err.splitlines()[-1].startswith("paa.train: hydra/launcher=slurm: ")


def test_the_address_is_a_name_that_resolves():
    assert address(["localhost"], {}) == "localhost"
    environment = {"SLURM_LAUNCH_NODE_IPADDR": "10.0.0.7"}
    assert address(["no-such-host.invalid"], environment) == "10.0.0.7"
    ports = {port(f"45571719_{i}", {}) for i in range(50)}
    assert len(ports) == 50
    assert port("7", {}) != port("7", {"SLURM_RESTART_COUNT": "1"})
    assert all(20000 <= one < 40000 for one in ports)
