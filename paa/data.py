"""Looks through a data set: `python -m paa.data check data=custom data.root=DIR [key=value]`."""

from __future__ import annotations

import sys
from pathlib import Path

USAGE = """\
usage: python -m paa.data check [group=choice] [key=value ...] [out=FILE.png]

Looks through the data that `python -m paa.train` with the same words would use: images, boxes, classes, sizes, colors,
all that is wrong, and the boxes that no anchor can match; writes a sheet of sample images. Trains nothing.

  data=custom data.root=DIR   the data; also data=coco, data=voc
  out=FILE.png                the sheet; runs/data-check/<name of the data folder>.png unless said otherwise
  data.verify=size            looks at the headers of image files alone
  anchors.scale=4             and every other key of paa.train: boxes are held against the anchors and sizes it says

Exit codes: 0 nothing is wrong, 1 something is, 2 the command line was refused.

examples
  python -m paa.data check data=custom data.root=DIR
  python -m paa.data check data=custom data.root=DIR images.train.short=640 anchors.scale=4
"""


def main() -> None:
    """Exit codes: 0 clean, 1 something is wrong, 2 refused."""
    from paa.commands.check_data import check_data, leave_out
    from paa.commands.options import command_line, refusing
    from paa.config.compose import composer, resolved
    from paa.config.errors import ConfigError
    from paa.experiment.parts import assemble
    from paa.experiment.reopen import settings
    from paa.log import print_line

    overrides, multirun, config_dir = command_line(USAGE, sys.argv[1:])
    with refusing("paa.data", 2), composer(config_dir) as compose:
        verb, rest = (overrides[0], overrides[1:]) if overrides else ("nothing", [])
        if verb != "check" or multirun:
            raise ConfigError(f"{'-m' if multirun else verb}: must be python -m paa.data check [key=value ...]")
        own, _ = settings(compose.parse(rest), ("out",))
        keys = [word for word in rest if not word.startswith("out=")]
        parts = assemble(leave_out(resolved(compose.compose(keys))))
        out = None if own.get("out") in (None, "") else Path(str(own["out"]))
    with refusing("paa.data", 1):
        if not check_data(parts, out, print_line):
            raise SystemExit(1)


if __name__ == "__main__":
    main()
