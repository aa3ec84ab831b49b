"""A refused value that a preset gave is told by the preset's key as well: the one that a user may have typed."""

from __future__ import annotations

import pytest
from running import call

from paa.config.compose import Composer
from paa.config.suggestions import with_preset


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("compat.center=2", "anchors.center=2 (from compat.center) is out of range: must be a number from 0 to 1"),
        ("recipe.topk=0", "assign.topk=0 (from recipe.topk) is out of range: must be an integer from 1"),
        ("compat.resize=up", "images.resize=up (from compat.resize): must be one of "),
        ("assign.topk=0", "assign.topk=0 is out of range: must be an integer from 1"),
    ],
)
def test_the_key_of_the_preset_is_named(here, capsys, override, message):
    ended = call(capsys, "paa.train", override)
    assert ended.code == 2
    assert ended.err.startswith(f"paa.train: {message}")


@pytest.mark.parametrize(
    "text",
    ["backbone, detector: too deep", "assign.topk: no such key", "assign=3: x", "nothing.of.it=3: x", "", "a=[b: c"],
)
def test_other_messages_stay(text):
    assert with_preset(text, Composer().compose([])) == text
