"""From SLURM's names for the processes of a job to those that torch.distributed reads."""

from __future__ import annotations

import socket
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

_FIRST_PORT, _PORTS = 20000, 20000


def join(job: Any, environment: MutableMapping[str, str]) -> None:
    """Set RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT where the job has several processes.

    job  submitit's JobEnvironment: num_tasks, global_rank, local_rank, hostnames, job_id.

    Not submitit's TorchDistributedEnvironment: its address must resolve, and its port is the same after a requeue.
    """
    if job.num_tasks > 1:
        environment["RANK"] = str(job.global_rank)
        environment["WORLD_SIZE"] = str(job.num_tasks)
        environment["LOCAL_RANK"] = str(job.local_rank)
        environment["MASTER_ADDR"] = address(job.hostnames, environment)
        environment["MASTER_PORT"] = str(port(job.job_id, environment))


def address(hosts: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return the name of the job's first node, or the same node's address for srun where the name does not resolve."""
    try:
        socket.getaddrinfo(hosts[0], None)
    except OSError:
        return environment.get("SLURM_LAUNCH_NODE_IPADDR", hosts[0])
    return hosts[0]


def port(job_id: str, environment: Mapping[str, str]) -> int:
    """Return a port that differs between jobs of a node, and between starts of a job: its old process may hold one."""
    main, _, index = job_id.partition("_")
    restarts = int(environment.get("SLURM_RESTART_COUNT", "0"))
    return _FIRST_PORT + (int(main) * 7 + int(index or 0) * 101 + restarts * 1009) % _PORTS
