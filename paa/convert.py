"""Makes a run of another project's weights: `python -m paa.convert IN OUT [key=value]`."""

from __future__ import annotations

import sys
from pathlib import Path

from paa.config.completion import completes

USAGE = """\
usage: python -m paa.convert IN OUT [key=value ...]

Makes a run of weights that another project trained, for python -m paa.evaluate and python -m paa.predict. Nothing in IN
is executed.

  IN    a checkpoint of the authors' release or of MMDetection's PAA or ATSS (.pth); of torchvision's RetinaNet or FCOS,
        of which the parts are taken that are the same here (.pth); or Detectron's ImageNet weights (.pkl)
  OUT   the folder of runs: the run becomes OUT/ID, and ID begins with x where that of a training begins with t.
        Or a file, FILE.pth: weights under paa's names to start a training from, finetune.from=FILE.pth, and of
        ImageNet weights backbone.weights=FILE.pth

  data.root=DIR             where COCO lies; evaluate takes it as well
  data=custom data.root=DIR the classes are those of DIR, not COCO's
  assign=atss               what it was trained with, where IN does not say: MMDetection's PAA and ATSS look alike
  images.test.short=800     short side of the images, and every other key of the configuration

examples
  python -m paa.convert paa_r50_fpn_1x_coco.pth runs
  python -m paa.convert R-50.pkl r50.pth
"""


def main() -> None:
    """Exit codes: 0, 2 refused."""
    if completes("paa-convert", sys.argv[1:]):
        return  # before torch is imported: a person waits for it
    from paa.commands.convert import convert
    from paa.commands.options import command_line, refusing
    from paa.config.compose import composer
    from paa.config.errors import ConfigError
    from paa.config.user_code import add_cwd_to_path
    from paa.log import print_line

    words, multirun, config_dir = command_line(USAGE, sys.argv[1:])
    add_cwd_to_path()
    with refusing("paa.convert", 2), composer(config_dir) as compose:
        if multirun:
            raise ConfigError("-m: convert takes one checkpoint at a time")
        if len(words) < 2:
            raise ConfigError("OUT is missing: must be the folder of runs, or a file (.pth), behind the checkpoint IN")
        (overrides,) = compose.jobs(words[2:], multirun=False)
        convert(Path(words[0]), Path(words[1]), overrides, compose, print_line)


if __name__ == "__main__":
    main()
