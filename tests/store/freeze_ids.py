"""Write frozen_ids.json anew: ten command lines, and the IDs of what they compose to.

    python tests/store/freeze_ids.py

Frozen IDs stand for runs that people have. Write them anew only together with raising `paa.NUMERICS`, or before a first
release.
"""

import json
from pathlib import Path

from paa.config.compose import Composer, resolved
from paa.experiment.parts import assemble
from paa.store.identity import eval_id, train_id

FROZEN = Path(__file__).with_name("frozen_ids.json")
# Contents that never change, so that an ID depends on the configuration only.
DIGESTS = {"data.train": "1" * 64, "data.val": "2" * 64}
COMMANDS = (
    "",
    "recipe=smoke seed=3",
    "assign.boundary=fnp assign.boundary.n=5",
    "assign.boundary=fsr assign.boundary.t=0.1",
    "assign.boundary=b_2020 compat=official",
    "assign=max_iou auxiliary=none",
    "assign=atss auxiliary=centerness compat=mmdet",
    "recipe=coco_1.5x data.root=/data/coco compat=paper assign.topk=15",
    "optim=sgd schedule=multistep train.accumulate=2 workers=7",
    "data=custom data.root=/data/own backbone=resnet18 images.train.short=480",
)


def ids(command: str) -> dict[str, str]:
    """The IDs of the training, and of its evaluations on val without and with voting."""
    config = assemble(resolved(Composer().compose(command.split()))).config
    return {
        "train": train_id(config, DIGESTS),
        "val": eval_id(config, DIGESTS, "val", voting=False),
        "val, voting": eval_id(config, DIGESTS, "val", voting=True),
    }


if __name__ == "__main__":
    FROZEN.write_text(json.dumps({command: ids(command) for command in COMMANDS}, indent=1) + "\n")
