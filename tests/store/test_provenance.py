"""The provenance of a training: that of its start, and of resumes with other code."""

from paa.store.provenance import origin, resumed


def test_a_resume_with_other_code_is_reported_and_recorded():
    first = origin()
    assert len(first["source_sha256"]) == 64
    assert resumed(first, first) == (first, "")
    edited = {**first, "source_sha256": "0" * 64, "commit": "1" * 40, "clean": False}
    recorded, note = resumed(first, edited)
    assert "now 111111111 with changes" in note
    assert {**recorded, "resumed": []} == first
    (later,) = recorded["resumed"]
    assert (later["source_sha256"], later["commit"]) == ("0" * 64, "1" * 40)
    assert resumed(recorded, edited) == (recorded, "")  # as the last attempt
    back, note = resumed(recorded, {**first, "versions": {**first["versions"], "torch": "9.9"}})
    assert "torch" in note
    assert len(back["resumed"]) == 2


def test_another_machine_is_no_other_code():
    first = origin()
    assert resumed(first, {**first, "host": "elsewhere", "commit": None, "clean": None}) == (first, "")
