"""Detects on a folder of images with a finished run: `python -m paa.predict run=ID images=DIR out=DIR`."""

from __future__ import annotations

import sys
from pathlib import Path

from paa.config.completion import completes

USAGE = """\
usage: python -m paa.predict run=ID images=DIR out=DIR [key=value ...]

Writes out/detections.json (COCO results, with file names) and out/pictures/, each image with its detections.

  run=ID                    a finished run; the first letters of an id will do (python -m paa.runs lists them)
  images=DIR                a folder of images, or one image
  out=DIR                   where to write
  runs_dir=runs             where runs lie
  score=0.3                 least score of a detection in the pictures; the json holds them all
  pictures=true             false writes the json alone
  postprocess.voting=true   score voting, and every other key of postprocess
  images.test.short=800     short side of the images

example
  python -m paa.predict run=t3f9a images=photos out=found score=0.4
"""


def main() -> None:
    """Exit codes: 0, 1 failed, 2 refused."""
    if completes("paa-predict", sys.argv[1:]):
        return  # before torch is imported: a person waits for it
    from paa import checks
    from paa.commands.options import command_line, refusing, required
    from paa.commands.predict import predict
    from paa.config.compose import composer
    from paa.config.errors import ConfigError
    from paa.config.user_code import add_cwd_to_path
    from paa.experiment.reopen import not_trained, reopen, settings
    from paa.log import print_line

    overrides, multirun, config_dir = command_line(USAGE, sys.argv[1:])
    add_cwd_to_path()
    with refusing("paa.predict", 2), composer(config_dir) as compose:
        if multirun:
            raise ConfigError("-m: predict takes one run at a time")
        (job,) = compose.jobs(overrides, multirun=False)
        own, rest = settings(compose.parse(job), ("run", "runs_dir", "images", "out", "score", "pictures"))
        run = required(own, "run", "the id of a finished run, or its first letters")
        images = required(own, "images", "a folder of images")
        out = Path(required(own, "out", "a folder to write into"))
        score = checks.number("score", own.get("score", 0.3), low=0, high=1)
        pictures = checks.flag("pictures", own.get("pictures", True))
        experiment, record = reopen(Path(str(own.get("runs_dir", "runs"))), run, rest, compose, measured=False)
        if record.converted:
            print_line(not_trained(record))
    with refusing("paa.predict", 1):
        predict(experiment, record, images, out, score if pictures else None, print_line)


if __name__ == "__main__":
    main()
