"""Evaluate a finished run with other test-time settings. The run's own configuration applies, except for the keys that
you set here. An evaluation that exists is printed, not repeated.
Exit codes: 0; 1 an evaluation failed; 2 wrong command line; 130, 143 interrupted.

keys
  run=ID                      the run, or an unambiguous prefix of its ID (python -m paa.runs lists them)
  runs_dir=runs               folder of runs
  evaluate.splits=[val,test]  splits to evaluate
  postprocess.voting=true     score voting;  postprocess.sigma_t=0.025  its width
  postprocess.nms_iou=0.6     and every other key of postprocess
  images.test.short=800       short side of the images, pixels
  data.root=DIR               where the data are now
  data.split=test             the split to evaluate; for a split without annotations, such as COCO's test-dev, the
                              upload file for its evaluation server is written

examples
  python -m paa.evaluate -m run=t3f9a postprocess.voting=false,true
  python -m paa.evaluate -m run=t3f9a postprocess.sigma_t=0.0025,0.025 evaluate.splits=[test]
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from paa.checks import UserError
from paa.commands.options import composer, parsed, parser, refusing, required

if TYPE_CHECKING:
    from paa.experiment.experiment import Experiment

NAME = "paa.evaluate"


def main() -> None:
    """Evaluate what the command line asks for. A job that fails does not stop the others."""
    options = parsed(parser(NAME, "[-m] run=ID [key=value ...]", __doc__, multirun=True))
    from paa.commands.report import table
    from paa.engine.distributed import destroy_process_group, process_group
    from paa.experiment.experiment import report_failure
    from paa.log import print_line

    failed: dict[int, str] = {}
    with refusing(NAME, 2):
        jobs = _jobs(options)
    try:
        with refusing(NAME, 1):
            for number, (_, experiment) in enumerate(jobs):
                try:
                    experiment.run()
                except (UserError, OSError) as error:
                    failed[number] = report_failure(experiment.train_id, error)
                    if process_group().size > 1:  # the processes are out of step
                        break
    finally:  # an interrupted sweep shows its results so far
        if process_group().is_main:
            print_line("\n" + table(jobs, failed))
    if failed:
        raise SystemExit(1)
    destroy_process_group()


def _jobs(options: Namespace) -> list[tuple[Sequence[str], Experiment]]:
    """Check all jobs of the command line; return the overrides and the reopened run of each."""
    from paa.config.merge import split_keys
    from paa.engine.distributed import process_group
    from paa.experiment.reopen import not_trained, reopen
    from paa.log import print_line

    jobs: list[tuple[Sequence[str], Experiment]] = []
    imported: set[str] = set()
    compose = composer(options)
    for job in compose.jobs(options.overrides, options.multirun):
        own, rest = split_keys(compose.parse(job), ("run", "runs_dir"))
        run = required(own, "run", "the ID of a finished run, or a prefix of it")
        experiment, record = reopen(Path(str(own.get("runs_dir", "runs"))), run, rest, compose)
        experiment.check_data()
        if record.converted and process_group().is_main and record.train_id not in imported:
            print_line(not_trained(record))
            imported.add(record.train_id)
        jobs.append((job, experiment))
    return jobs
