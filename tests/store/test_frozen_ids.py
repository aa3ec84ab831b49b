"""Run IDs are stable: ten command lines keep the IDs that were frozen for them."""

import json

import pytest
from freeze_ids import COMMANDS, FROZEN, ids

FROZEN_IDS = json.loads(FROZEN.read_text())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_line_keeps_its_ids(command):
    assert ids(command) == FROZEN_IDS[command], (
        "people would lose their runs: give a new key a NEUTRAL or an ONLY_IF in its class of paa/store/settings.py, "
        "or, if trained numbers change, raise paa.NUMERICS and run tests/store/freeze_ids.py"
    )


def test_they_are_ten_different_trainings():
    assert len({frozen["train"] for frozen in FROZEN_IDS.values()}) == len(COMMANDS) == 10
