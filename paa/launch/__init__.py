"""Launchers: jobs of a SLURM cluster, and several processes of this machine.

settings    the keys of hydra/launcher=slurm and local, with their ranges.
sweep       submit the jobs of a command line and wait for them.
ledger      what was submitted, in files that any later process can read.
submit      from a sweep's files to jobs of SLURM; snapshot, a copy of the code for them.
task        what such a job runs; preemption, its signals; ranks, its process group.
queue       what SLURM knows of jobs.
status      the state of each job, from its records, the queue and its log.
local       n runs at a time, in processes of this machine.
actions     watch, cancel and resubmit, from any shell.

The submitting process may exit: everything that later commands need is in the files. `ledger`, `queue`, `status`
and `actions` import neither torch nor Hydra, because `python -m paa.runs` must answer quickly.
"""
