"""Recorded runs keep their names: ten frozen configurations and their ids, as frozen and as conf/ composes them now."""

import json

import pytest
from freeze_ids import FROZEN, composed, ids

ENTRIES = json.loads(FROZEN.read_text())


@pytest.mark.parametrize("name", ENTRIES)
def test_frozen_configurations_keep_their_ids(name):
    entry = ENTRIES[name]
    assert ids(entry["config"]) == entry["ids"], (
        f"the configuration {name!r} has another id than it was recorded under: every run of it would be lost to its "
        "owner. If its numbers have changed as well, raise paa.NUMERICS and run tests/runs/freeze_ids.py"
    )


@pytest.mark.parametrize("name", ENTRIES)
def test_today_s_configurations_have_the_frozen_ids(name):
    entry = ENTRIES[name]
    assert ids(composed(entry["overrides"])) == entry.get("today", entry["ids"]), (
        f"{' '.join(entry['overrides']) or 'the default'} composes to something of another id than before: give a "
        "new key its place in paa.store.identity.INERT, or, where numbers change, see tests/runs/freeze_ids.py"
    )


def test_there_are_ten_different_ones():
    assert len(ENTRIES) == 10
    assert len({entry["ids"]["train"] for entry in ENTRIES.values()}) == 10
