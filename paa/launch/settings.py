"""The keys of hydra/launcher=slurm and local, with their ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from paa import checks

_OWN = {
    "signal": "use signal_delay_s",
    "time": "use timeout_min",
    "array": "use array_parallelism and max_array",
    "requeue": "jobs are always requeued; max_num_timeout and max_requeues_after_kill limit how often",
    "output": "logs are in the sweep's folder",
    "error": "logs are in the sweep's folder",
    "open_mode": "a requeued job appends to its log",
    "chdir": "jobs run in the current folder of the command",
}
"""Options of sbatch that requeueing and resuming depend on, and what to use instead."""


@dataclass(frozen=True)
class SlurmSettings:
    """Settings of hydra/launcher=slurm; conf/hydra/launcher/slurm.yaml describes each key."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    nodes: int = 1
    tasks_per_node: int = 1
    gpus_per_node: int | None = None
    cpus_per_task: int | None = None
    mem_gb: float | None = None
    timeout_min: int = 1440
    signal_delay_s: int = 180
    max_num_timeout: int = 1000
    max_requeues_after_kill: int = 10
    array_parallelism: int = 256
    max_array: int | None = None
    setup: list[str] = field(default_factory=list)
    additional_parameters: dict[str, Any] = field(default_factory=dict)
    snapshot: bool = False
    wait: bool = True
    poll_s: float = 10.0

    def __post_init__(self) -> None:
        for name in ("partition", "account", "qos", "constraint"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value.strip()):
                raise checks.OutOfRange(name, f"={value}: must be a name or null")
        for name in ("nodes", "tasks_per_node", "timeout_min", "array_parallelism"):
            checks.integer(name, getattr(self, name), low=1)
        for name in ("gpus_per_node", "cpus_per_task", "max_array"):
            if getattr(self, name) is not None:
                checks.integer(name, getattr(self, name), low=0 if name == "gpus_per_node" else 1)
        for name in ("max_num_timeout", "max_requeues_after_kill"):
            checks.integer(name, getattr(self, name), low=0)
        if self.mem_gb is not None:
            checks.number("mem_gb", self.mem_gb, above=0)
        checks.number("poll_s", self.poll_s, low=0.5)
        checks.integer("signal_delay_s", self.signal_delay_s, low=1)
        if self.signal_delay_s > 30 * self.timeout_min:
            problem = f"={self.signal_delay_s}: must be at most half of timeout_min, {30 * self.timeout_min} s"
            raise checks.OutOfRange("signal_delay_s", problem)
        for name in ("snapshot", "wait"):
            checks.flag(name, getattr(self, name))
        if not all(isinstance(line, str) for line in checks.sequence("setup", self.setup, "a list of shell commands")):
            raise checks.OutOfRange("setup", f"={self.setup}: must be a list of shell commands")
        if not isinstance(self.additional_parameters, Mapping):
            raise checks.OutOfRange(
                "additional_parameters", f"={self.additional_parameters}: must hold sbatch's options"
            )
        for name in self.additional_parameters:
            if (own := _OWN.get(str(name).replace("-", "_"))) is not None:
                raise checks.OutOfRange("additional_parameters", f".{name}: set by the launcher; {own}")

    @property
    def tasks(self) -> int:
        """Number of processes of a job."""
        return self.nodes * self.tasks_per_node

    def gpus(self, device: str) -> int:
        """Return how many GPUs of each node a run on `device` asks for."""
        if device != "cuda":
            return 0
        return self.tasks_per_node if self.gpus_per_node is None else self.gpus_per_node

    def needs(self, config: Mapping[str, Any]) -> tuple[int, int]:
        """Return the GPUs of each node and the CPUs of each process that a run with this configuration asks for."""
        return self.gpus(config["device"]), self.cpus_per_task or config["workers"] + 1


@dataclass(frozen=True)
class LocalSettings:
    """Settings of hydra/launcher=local; conf/hydra/launcher/local.yaml describes each key."""

    n: int = 2

    def __post_init__(self) -> None:
        checks.integer("n", self.n, low=1)
