"""Check the data that `python -m paa.train` would use with the same overrides: images, boxes, classes, sizes, colors,
everything that is invalid, and boxes that no anchor can match. Writes a contact sheet of sample images. Trains nothing.
Exit codes: 0 nothing is wrong; 1 something is; 2 wrong command line.

keys
  data=custom data.root=DIR   the data; also data=coco, data=voc
  out=FILE.png                the contact sheet; default: runs/data-check/<name of the data folder>.png
  data.verify=size            read only the headers of image files
  anchors.scale=4             and every other key of paa.train: boxes are matched with its anchors and image sizes

examples
  python -m paa.data check data=custom data.root=DIR
  python -m paa.data check data=custom data.root=DIR images.train.short=640 anchors.scale=4
"""

from __future__ import annotations

from pathlib import Path

from paa.commands.options import composer, parsed, parser, refusing

NAME = "paa.data"


def main() -> None:
    """Check what the command line names."""
    out = parser(NAME, "check [group=choice] [key=value ...] [out=FILE.png]", __doc__)
    out.add_argument("command", choices=["check"], help="the only command")
    options = parsed(out)
    from paa.commands.survey_data import check_data
    from paa.config.compose import resolved
    from paa.config.merge import split_keys
    from paa.experiment.parts import assemble

    with refusing(NAME, 2):
        compose = composer(options)
        own, _ = split_keys(compose.parse(options.overrides), ("out",))
        keys = [word for word in options.overrides if not word.startswith("out=")]
        config = resolved(compose.compose(keys))
        if "on_invalid" in config["data"]:  # a check lists all findings and does not stop at the first
            config["data"]["on_invalid"] = "drop"
        parts = assemble(config)
        sheet = None if own.get("out") in (None, "") else Path(str(own["out"]))
    with refusing(NAME, 1):
        if not check_data(parts, sheet):
            raise SystemExit(1)
