"""Detect objects in a folder of images with a finished run. Writes out/detections.json (COCO results with file names)
and out/pictures/, each image with its detections.
Exit codes: 0; 1 failed; 2 wrong command line.

keys
  run=ID                    a finished run, or an unambiguous prefix of its ID (python -m paa.runs lists them)
  images=DIR                a folder of images, or one image
  out=DIR                   folder to write to
  runs_dir=runs             folder of runs
  score=0.3                 lowest score of a detection in the pictures; detections.json has all
  pictures=true             false writes only detections.json
  postprocess.voting=true   score voting, and every other key of postprocess
  images.test.short=800     short side of the images, pixels

example
  python -m paa.predict run=t3f9a images=photos out=found score=0.4
"""

from __future__ import annotations

from pathlib import Path

from paa.commands.options import composer, parsed, parser, refusing, required

NAME = "paa.predict"

OWN = ("run", "runs_dir", "images", "out", "score", "pictures")


def main() -> None:
    """Detect in what the command line names."""
    options = parsed(parser(NAME, "run=ID images=DIR out=DIR [key=value ...]", __doc__))
    from paa import checks
    from paa.commands.detections import predict
    from paa.config.merge import split_keys
    from paa.experiment.reopen import not_trained, reopen
    from paa.log import print_line

    with refusing(NAME, 2):
        compose = composer(options)
        (job,) = compose.jobs(options.overrides, multirun=False)
        own, rest = split_keys(compose.parse(job), OWN)
        run = required(own, "run", "the ID of a finished run, or a prefix of it")
        images = required(own, "images", "a folder of images")
        out = Path(required(own, "out", "a folder to write to"))
        score = checks.number("score", own.get("score", 0.3), low=0, high=1)
        pictures = checks.flag("pictures", own.get("pictures", True))
        experiment, record = reopen(Path(str(own.get("runs_dir", "runs"))), run, rest, compose, measured=False)
        if record.converted:
            print_line(not_trained(record))
    with refusing(NAME, 1):
        predict(experiment, record, images, out, score if pictures else None)
