"""Runs that go on elsewhere: jobs of a SLURM cluster, and several processes of this machine.

ledger    what was submitted, as a file that any later process can read.
queue     what SLURM says of the jobs.
status    where each run stands, from its records, the queue and what its job left.
settings  the keys of hydra/launcher=slurm and local, checked.
submit    from checked jobs to jobs of SLURM.
task      what such a job runs: signals, ranks, requeueing.
waiting   the driver's part after the submission, and what it says.
local     n runs at a time in processes of this machine.
actions   watch, cancel and resubmit, from any shell.

`ledger`, `queue`, `status` and `actions` import neither torch nor Hydra: `python -m paa.runs` answers at once.
"""
