"""Import a checkpoint of another project as a finished run, for paa.evaluate and paa.predict. No code in IN is
executed.
Exit codes: 0; 2 refused.

keys
  data.root=DIR             where COCO is; evaluate takes it, too
  data=custom data.root=DIR the classes are those of DIR, not COCO's
  assign=atss               the assigner of the training, if IN does not say: MMDetection's PAA and ATSS look alike
  images.test.short=800     short side of the images, pixels, and every other key of the configuration

examples
  python -m paa.convert paa_r50_fpn_1x_coco.pth runs
  python -m paa.convert R-50.pkl r50.pth
"""

from __future__ import annotations

from pathlib import Path

from paa.commands.options import composer, parsed, parser, refusing

NAME = "paa.convert"

IN = """a checkpoint of the authors' release, or of MMDetection's PAA or ATSS (.pth); of torchvision's RetinaNet or
FCOS, from which the parts that are the same here are taken (.pth); or Detectron's ImageNet weights (.pkl)"""

OUT = """the folder of runs: the run becomes OUT/ID, where ID begins with x (with t for a training). Or a file,
FILE.pth: weights to start a training from with finetune.from=FILE.pth, or with backbone.weights=FILE.pth if IN holds
ImageNet weights"""


def main() -> None:
    """Import what the command line names."""
    out = parser(NAME, "IN OUT [key=value ...]", __doc__)
    out.add_argument("source", metavar="IN", type=Path, help=IN)
    out.add_argument("out", metavar="OUT", type=Path, help=OUT)
    options = parsed(out)
    from paa.commands.import_checkpoint import convert

    with refusing(NAME, 2):
        compose = composer(options)
        (overrides,) = compose.jobs(options.overrides, multirun=False)
        convert(options.source, options.out, overrides, compose)
