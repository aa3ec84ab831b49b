"""The keys of hydra/launcher=slurm and local, with their ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from paa import checks
from paa.checks import checked, flag, integer, number, text

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


def _commands(name: str, value: Any) -> None:
    what = "a list of shell commands"
    for line in checks.sequence(name, value, what):
        checks.text(name, line, what)


_NAME = {"default": None, "what": "a name or null"}


@dataclass(frozen=True)
class SlurmSettings(checks.Checked):
    """Settings of hydra/launcher=slurm; conf/hydra/launcher/slurm.yaml describes each key."""

    partition: str | None = checked(text, **_NAME)
    account: str | None = checked(text, **_NAME)
    qos: str | None = checked(text, **_NAME)
    constraint: str | None = checked(text, **_NAME)
    nodes: int = checked(integer, 1, low=1)
    tasks_per_node: int = checked(integer, 1, low=1)
    gpus_per_node: int | None = checked(integer, None, low=0)
    cpus_per_task: int | None = checked(integer, None, low=1)
    mem_gb: float | None = checked(number, None, above=0)
    timeout_min: int = checked(integer, 1440, low=1)
    signal_delay_s: int = checked(integer, 180, low=1)
    max_num_timeout: int = checked(integer, 1000, low=0)
    max_requeues_after_kill: int = checked(integer, 10, low=0)
    array_parallelism: int = checked(integer, 256, low=1)
    max_array: int | None = checked(integer, None, low=1)
    setup: list[str] = field(default_factory=list, metadata={"check": _commands})
    additional_parameters: Mapping[str, Any] = field(default_factory=dict)
    snapshot: bool = checked(flag, False)
    wait: bool = checked(flag, True)
    poll_s: float = checked(number, 10.0, low=0.5)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.signal_delay_s > 30 * self.timeout_min:
            problem = f"={self.signal_delay_s}: must be at most half of timeout_min, {30 * self.timeout_min} s"
            raise checks.OutOfRange("signal_delay_s", problem)
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
class LocalSettings(checks.Checked):
    """Settings of hydra/launcher=local; conf/hydra/launcher/local.yaml describes each key."""

    n: int = checked(integer, 2, low=1)
