"""Evaluates a finished run again: `python -m paa.evaluate run=ID [key=value]`, or a sweep of such with -m."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from paa.config.completion import completes

if TYPE_CHECKING:
    from paa.experiment.experiment import Experiment

USAGE = """\
usage: python -m paa.evaluate run=ID [key=value ...]
       python -m paa.evaluate -m run=ID key=value,value ...

Evaluates a finished run with other test-time settings. Its own configuration holds, and of it what is named here
changes; an evaluation that exists is printed at once.

  run=ID                      the run; the first letters of an id will do (python -m paa.runs lists them)
  runs_dir=runs               where runs lie
  evaluate.splits=[val,test]  splits to evaluate
  postprocess.voting=true     score voting;  postprocess.sigma_t=0.025  its width
  postprocess.nms_iou=0.6     and every other key of postprocess
  images.test.short=800       short side of the images
  data.root=DIR               where the data lie now
  data.split=test             the split to evaluate; of one without annotations, COCO's test-dev say, the file for the
                              server that has them is written

examples
  python -m paa.evaluate -m run=t3f9a postprocess.voting=false,true
  python -m paa.evaluate -m run=t3f9a postprocess.sigma_t=0.0025,0.025 evaluate.splits=[test]
"""


def main() -> None:
    """Exit codes: 0, 1 failed, 2 refused, 130 and 143 stopped."""
    if completes("paa-evaluate", sys.argv[1:]):
        return  # before torch is imported: a person waits for it
    from paa.commands.options import command_line, refusing, required
    from paa.commands.report import table
    from paa.config.compose import composer
    from paa.config.errors import USER_ERRORS
    from paa.config.user_code import add_cwd_to_path
    from paa.engine.distributed import destroy_process_group, process_group
    from paa.experiment.job import report_failure
    from paa.experiment.reopen import not_trained, reopen, settings
    from paa.log import print_line

    overrides, multirun, config_dir = command_line(USAGE, sys.argv[1:])
    add_cwd_to_path()
    jobs: list[tuple[list[str], Experiment]] = []
    with refusing("paa.evaluate", 2), composer(config_dir) as compose:
        for job in compose.jobs(overrides, multirun):
            own, rest = settings(compose.parse(job), ("run", "runs_dir"))
            run = required(own, "run", "the id of a finished run, or its first letters")
            experiment, record = reopen(Path(str(own.get("runs_dir", "runs"))), run, rest, compose)
            experiment.check_data()
            first = record.train_id not in {e.identity.train_id for _, e in jobs}
            if record.converted and process_group().is_main and first:
                print_line(not_trained(record))
            jobs.append((job, experiment))
    failed: dict[int, str] = {}
    try:
        with refusing("paa.evaluate", 1):
            for number, (_, experiment) in enumerate(jobs):
                try:
                    experiment.run(print_line)
                except USER_ERRORS as error:
                    failed[number] = report_failure(experiment, error)
                    if process_group().size > 1:  # the processes are out of step
                        break
    finally:  # whoever stops a sweep sees what it has come to
        if process_group().is_main:
            print_line("\n" + table(jobs, failed))
    if failed:
        raise SystemExit(1)
    destroy_process_group()


if __name__ == "__main__":
    main()
