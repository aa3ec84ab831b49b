"""Code of the user's own counts in a run ID by its source, and a record's code is checked before it is built."""

import hashlib
import json
import subprocess
import sys

import pytest
from changing import DIGESTS, changed

from paa.store.code_digest import refuse_untrusted, source_digests
from paa.store.errors import UntrustedCode
from paa.store.identity import train_id

# In a process of its own: a source is read once in a process, because that is what the process runs.
ID = """
import json, sys
from paa.store.identity import train_id
print(train_id(json.load(sys.stdin), {"data.train": "a1"}))
"""


def id_of(folder, config, target):
    config = changed(config, "assign.boundary._target_", target)
    done = subprocess.run(
        [sys.executable, "-c", ID], input=json.dumps(config), cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def mine(tmp_path):
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").write_text("from mine.boundary import Mine\n")
    (package / "boundary.py").write_text("from mine import rule\nfrom mine.base import Base\nclass Mine(Base): ...\n")
    (package / "base.py").write_text("class Base(dict): ...\n")
    (package / "rule.py").write_text("LIMIT = 1\n")
    return package


def test_the_files_of_a_class_and_of_its_base_classes_count(config, tmp_path, mine):
    first = id_of(tmp_path, config, "mine.Mine")
    assert id_of(tmp_path, config, "mine.Mine") == first
    (mine / "rule.py").write_text("LIMIT = 2\n")  # documented: imports do not count
    assert id_of(tmp_path, config, "mine.Mine") == first
    seen = {first}
    for name in ("boundary.py", "base.py"):
        with (mine / name).open("a") as file:
            file.write("# edited\n")
        seen.add(id_of(tmp_path, config, "mine.Mine"))
    assert len(seen) == 3


def test_digests_are_of_the_bytes_of_files(tmp_path, monkeypatch):
    (tmp_path / "lone_rule.py").write_text("class Base: ...\n")
    (tmp_path / "lone_boundary.py").write_text("import torch\nfrom lone_rule import Base\nclass Mine(Base): ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    files = {name: (tmp_path / f"{name}.py").read_bytes() for name in ("lone_boundary", "lone_rule")}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    assert source_digests("lone_boundary.Mine") == digests
    assert source_digests("lone_boundary.Base") == {"lone_rule": digests["lone_rule"]}


def test_targets_that_are_not_there_are_named(config):
    with pytest.raises(ValueError, match=r"^_target_=no_such_module\.Mine"):
        train_id(changed(config, "assign.boundary._target_", "no_such_module.Mine"), DIGESTS)


def test_builtins_and_the_standard_library_do_not_count_by_source(config):
    for target in ("builtins.dict", "collections.OrderedDict"):
        other = changed(config, "optim._target_", target)
        assert train_id(other, DIGESTS) not in ("", train_id(config, DIGESTS))  # the name of a class counts


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.exec",
        "paa.files.os.system",
        "paa.nothing",
        "torch.load",
        "pytest.main",
        "unrecorded.Mine",
    ],
)
def test_a_record_cannot_name_other_code(target, tmp_path, monkeypatch):
    (tmp_path / "unrecorded.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    config = {"assign": {"_target_": "paa.assign.PAA", "boundary": [{"_target_": target}]}}
    known = {"pytest.main": {"_pytest.config": "x"}}
    with pytest.raises(UntrustedCode, match=f"run=t1: _target_={target}"):
        refuse_untrusted(config, known, "t1")


def test_a_class_of_the_user_is_built_if_its_files_are_as_recorded(tmp_path, monkeypatch):
    (tmp_path / "kept_boundary.py").write_text("import os\nclass Mine: ...\n")
    (tmp_path / "edited_boundary.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    code = {"kept_boundary.Mine": source_digests("kept_boundary.Mine")}
    refuse_untrusted({"_target_": "kept_boundary.Mine"}, code, "t1")
    with pytest.raises(UntrustedCode, match=r"_target_=kept_boundary\.os\.system"):
        refuse_untrusted(
            {"_target_": "kept_boundary.os.system"}, {"kept_boundary.os.system": code["kept_boundary.Mine"]}, "t1"
        )
    with pytest.raises(UntrustedCode, match="its code has changed"):
        refuse_untrusted({"_target_": "edited_boundary.Mine"}, {"edited_boundary.Mine": {"edited_boundary": "0"}}, "t1")
    with pytest.raises(UntrustedCode, match="PYTHONPATH"):
        refuse_untrusted({"_target_": "removed.Mine"}, {"removed.Mine": {"removed": "0"}}, "t1")
