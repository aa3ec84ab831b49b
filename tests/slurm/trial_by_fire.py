"""Twelve trainings on two nodes while a seeded schedule of disturbances strikes; what is left must be as if none had.

    PAA_SLURM_LIMIT_S=7200 tests/slurm/with_cluster.sh \\
        python tests/slurm/trial_by_fire.py [--seed 0] [--disturbances 30] [--folder DIR]

takes a quarter of an hour on two idle cores; it needs root, for it mounts a small tmpfs below DIR. Prints a line for
each disturbance, and at the end how many struck, how many steps were done twice, and what does not hold. Exit code 0
where all holds.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1]), str(HERE / "own")]

import torch  # noqa: E402
from cluster import MARK, SLOW, Cluster, environment, run, step, steps_done  # noqa: E402
from running import experiment, smoke_sources  # noqa: E402

from paa.launch.status import Row, rows  # noqa: E402
from paa.store.paths import RunPaths  # noqa: E402
from paa.store.record import EvaluationRecord, TrainingRecord  # noqa: E402

TMPFS_MB = 48
FULL_S = 10.0
RUNS, STEPS, PAUSE_S = 12, 100, 0.6
BETWEEN = (5, 20)
"""Steps, of all trainings together, between two disturbances: the schedule keeps the pace of the machine."""
PATIENCE_S = 120.0

KEYS = (
    *(word for word in SLOW if not word.startswith(("schedule.steps", "checkpoint."))),
    f"schedule.steps={STEPS}",
    f"assign.boundary.pause={PAUSE_S}",
    "checkpoint.every_s=5",
)
LAUNCH = (
    "hydra/launcher=slurm",
    "hydra.launcher.partition=preempt",
    "hydra.launcher.poll_s=2",
    "hydra.launcher.cpus_per_task=4",
)
"""Four run at a time: a pause of one disturbance is not the end of all."""


class Trial:
    """The trainings below `place`/runs, which lies on a small tmpfs, and what may befall them."""

    def __init__(self, place: Path, cluster: Cluster, draw: random.Random) -> None:
        self.place, self.cluster, self.draw = place, cluster, draw
        self.runs_dir = place / "runs"
        self.driver: subprocess.Popen[str] | None = None
        self.deeds: dict[str, Callable[[], bool]] = {
            "USR2": self.usr2,
            "preemption": self.preempt,
            "requeue": self.requeue,
            "node down": self.node_down,
            "SIGKILL of a training": self.kill_training,
            "SIGKILL of a slurmd": self.kill_slurmd,
            "SIGKILL of the driver": self.kill_driver,
            "slurmctld restarted": self.restart_controller,
            "disk full": self.fill_disk,
        }

    def start_driver(self) -> None:
        with (self.place / "driver.log").open("a") as log:
            words = ["paa.train", *KEYS, "-m", f"seed=range(0,{RUNS})", *LAUNCH, f"data.root={self.place / 'data'}"]
            command = [sys.executable, "-m", *words]
            self.driver = subprocess.Popen(command, cwd=self.place, env=environment(self.place), stdout=log, stderr=log)

    def running(self) -> list[Row]:
        """Runs whose job runs, in an order that the schedule draws."""
        found = [row for row in rows(self.runs_dir) if row.kind == "running" and row.job is not None]
        found = [row for row in found if row.job is not None and row.job.state == "RUNNING"]
        self.draw.shuffle(found)
        return found

    def left(self) -> list[Row]:
        return [row for row in rows(self.runs_dir) if row.kind != "done"]

    def steps(self) -> int:
        """Steps that all trainings have done so far, some of them twice."""
        return sum(len(steps_done(self.place, str(tag))) for tag in range(RUNS))

    def usr2(self) -> bool:
        for row in self.running():  # one that is on its way back to the queue is asked again and again by scancel
            done = subprocess.run(["timeout", "5", "scancel", "--signal=USR2", str(row.id)], check=False)
            if done.returncode == 0:
                return True
        return False

    def preempt(self) -> bool:
        busy = {row.job.nodes for row in self.running() if row.job is not None}
        for node in sorted(busy)[:1]:
            self.cluster.slurm(
                "sbatch", "-p", "debug", "-w", node, "--exclusive", "-o", "/dev/null", "--wrap", "sleep 2"
            )
            return True
        return False

    def requeue(self) -> bool:
        for row in self.running()[:1]:
            self.cluster.slurm("scontrol", "requeue", str(row.id))
            return True
        return False

    def node_down(self) -> bool:
        struck = bool(self.running())
        node = self.draw.choice(["n1", "n2"])
        self.cluster.slurm("scontrol", "update", f"nodename={node}", "state=down", "reason=trial")
        time.sleep(4)
        self.cluster.slurm("scontrol", "update", f"nodename={node}", "state=resume", check=False)  # it may be back
        return struck

    def kill_training(self) -> bool:
        for row in self.running():
            for pid in self.cluster.processes(self.cluster.raw(str(row.id)))[:1]:
                os.kill(pid, signal.SIGKILL)
                return True
        return False

    def kill_slurmd(self) -> bool:
        struck = bool(self.running())
        node = self.draw.choice(["n1", "n2"])
        os.kill(self.cluster.daemon(f"slurmd.{node}"), signal.SIGKILL)
        time.sleep(self.draw.choice([1.0, 45.0]))  # back before it was missed, or after
        self.cluster.start_slurmd(node)
        return struck

    def kill_driver(self) -> bool:
        struck = self.driver is not None and self.driver.poll() is None
        if self.driver is not None and struck:
            self.driver.kill()
            self.driver.wait()
        time.sleep(self.draw.uniform(0, 5))
        self.start_driver()
        return struck

    def restart_controller(self) -> bool:
        pid = self.cluster.daemon("slurmctld")
        os.kill(pid, signal.SIGKILL if self.draw.random() < 0.5 else signal.SIGTERM)
        while _alive(pid):
            time.sleep(0.1)
        time.sleep(self.draw.uniform(0, 3))
        subprocess.run(["slurmctld", "-f", self.cluster.folder / "etc" / "slurm.conf"], check=True, timeout=60)
        return bool(self.left())

    def fill_disk(self) -> bool:
        struck = bool(self.running())
        filler = self.runs_dir / "filler"
        try:
            with filler.open("wb", buffering=0) as file:
                while file.write(b"\0" * 65536):
                    pass
        except OSError:
            pass
        time.sleep(FULL_S)
        filler.unlink()
        return struck


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def disturb(trial: Trial, count: int) -> Counter[str]:
    """Strikes `count` times, each kind as often as another, in an order that the seed draws; how often each struck.

    One that meets no training that runs, or a driver that has ended, has not struck.
    """
    kinds = list(trial.deeds)
    deck = [kinds[i % len(kinds)] for i in range(count)]
    trial.draw.shuffle(deck)
    struck: Counter[str] = Counter()
    for number, kind in enumerate(deck, 1):
        target = trial.steps() + trial.draw.randint(*BETWEEN)
        until = time.monotonic() + PATIENCE_S
        while trial.steps() < target and trial.left() and time.monotonic() < until:
            time.sleep(0.5)
        try:
            hit = trial.deeds[kind]()
        except subprocess.SubprocessError as error:  # SLURM did not take it: busy with the one before
            print(f"     {error}", flush=True)
            hit = False
        struck[kind] += hit
        done = sum(row.kind == "done" for row in rows(trial.runs_dir))
        print(f"{number:3d}  {kind:22s} {'struck' if hit else 'met nothing':12s} {done} done", flush=True)
    return struck


def bring_home(trial: Trial, limit_s: float) -> int:
    """Waits for the end as a person would: looks, and submits again what failed or is lost. How often that was."""
    again, end = 0, time.monotonic() + limit_s
    while trial.left():
        if time.monotonic() > end:
            return -1
        time.sleep(3)
        if any(row.active for row in trial.left()):
            continue
        time.sleep(20)  # a node that failed puts its jobs back
        for kind in sorted({row.kind for row in trial.left()}):
            if kind in ("failed", "missing", "cancelled", "interrupted"):
                print(f"     {kind}: {[row.status.detail for row in trial.left() if row.kind == kind]}", flush=True)
                said = run(trial.place, "paa.runs", "resubmit", "failed" if kind == "failed" else "missing")
                again += said.returncode == 0
    return again


def problems(trial: Trial) -> list[str]:
    """What is not as in an undisturbed run."""
    found = []
    own = [word for word in KEYS[2:] if not word.startswith("assign.boundary")]
    every = {row.entry.train_id: row for row in rows(trial.runs_dir)}
    if len(every) != RUNS:
        found.append(f"{len(every)} identities instead of {RUNS}")
    for name, row in every.items():
        paths, seed = RunPaths(trial.runs_dir, name), next(o for o in row.entry.overrides if o.startswith("seed="))
        found += [f"{name}: {text}" for text in torn(paths)]
        keys = [*own, "assign.boundary=fnp", seed, f"data.root={trial.place / 'data'}"]
        calm = experiment(trial.place / "calm", *keys)
        with redirect_stdout(io.StringIO()):
            calm.run()
        mine, its = TrainingRecord.read(paths.record), TrainingRecord.read(calm.identity.paths.record)
        if mine.weights_sha256 != its.weights_sha256:
            found.append(f"{name}: other weights than the undisturbed run of {seed}")
        numbers = [EvaluationRecord.read(p).numbers for p in sorted(paths.evals.glob("*.json"))]
        if sorted(map(str, numbers)) != sorted(str(record.numbers) for record in calm.records()):
            found.append(f"{name}: other numbers than the undisturbed run")
        if paths.metrics.read_text() != calm.identity.paths.metrics.read_text():
            found.append(f"{name}: other metrics than the undisturbed run")
    return found


def torn(paths: RunPaths) -> list[str]:
    """Files that cannot be read, are not there, or should not be."""
    found = []
    for path in sorted(p for p in paths.folder.rglob("*") if p.is_file()):
        try:
            if path.name.endswith(".aside"):
                raise ValueError("left aside")
            if path.suffix == ".json":
                json.loads(path.read_text())
            if path.suffix == ".jsonl":
                [json.loads(line) for line in path.read_text().splitlines()]
            if path.suffix == ".pt":
                torch.load(path, weights_only=True)
        except Exception as error:
            found.append(f"{path.relative_to(paths.folder)}: {error}")
    if len(list(paths.evals.glob("*.json"))) != 2:
        found.append("not two evaluations")
    if paths.checkpoints.exists():
        found.append("checkpoints are left")
    return found


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--disturbances", type=int, default=30)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/paa-trial"))
    parser.add_argument("--limit-s", type=float, default=3600)
    options = parser.parse_args()
    torch.set_num_threads(1)
    conf = Path(os.environ.get("SLURM_CONF", "/nowhere"))
    assert conf.is_file(), "SLURM_CONF is not set: start it with tests/slurm/with_cluster.sh"
    assert conf.read_text().splitlines()[0] == MARK, "not the cluster that tests/slurm/up.sh starts"
    place = options.folder
    for folder in (place / "runs", place / "steps", place / "data"):
        folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={TMPFS_MB}m", "tmpfs", place / "runs"], check=True)
    began = time.monotonic()
    try:
        smoke_sources(place / "data")[0].prepare(quiet=True)
        trial = Trial(place, Cluster(conf.parents[1]), random.Random(options.seed))
        trial.start_driver()
        while not rows(trial.runs_dir) or not any(
            step(RunPaths(trial.runs_dir, r.entry.train_id)) for r in trial.left()
        ):
            time.sleep(1)
        struck = disturb(trial, options.disturbances)
        again = bring_home(trial, options.limit_s)
        if trial.driver is not None:
            trial.driver.wait(300)
        twice = {tag: (done := steps_done(place, str(tag))) and len(done) - len({*done}) for tag in range(RUNS)}
        found = problems(trial) if again >= 0 else ["not all ended"]
        print(f"{sum(struck.values())} of {options.disturbances} disturbances struck: {dict(struck)}")
        print(f"{sum(twice.values())} of {RUNS * STEPS} steps done twice: {twice}")
        print(f"submitted again by hand: {again} times; {time.monotonic() - began:.0f} s")
        print("\n".join(found) or "all ended, each once, as if undisturbed")
        return 1 if found else 0
    finally:
        subprocess.run(["umount", "-l", place / "runs"], check=False)


if __name__ == "__main__":
    sys.exit(main())
