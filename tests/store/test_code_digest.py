"""The source of classes of one's own counts in an identity."""

import hashlib
import json
import subprocess
import sys

import pytest
from changing import DIGESTS, changed

from paa.store.code_digest import source_digest
from paa.store.identity import train_id

# In a process of its own: a module is read once in a process, since that is what the process runs.
FOREIGN = """
import json, sys
from paa.store.identity import train_id
config = json.load(sys.stdin)
print(train_id(config, {"data.train": "a1"}))
"""


def foreign_id(folder, config, target):
    config = changed(config, "assign.boundary._target_", target)
    done = subprocess.run(
        [sys.executable, "-c", FOREIGN],
        input=json.dumps(config),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_source_of_foreign_targets_counts(config, tmp_path):
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").write_text("from mine.boundary import Mine\n")
    (package / "boundary.py").write_text(
        "import json\nimport mine.rule\nfrom mine.base import Base\nclass Mine(Base): ...\n"
    )
    (package / "base.py").write_text("class Base: ...\n")
    (package / "rule.py").write_text("LIMIT = 1\n")
    (package / "plot.py").write_text("COLOR = 1\n")
    first = foreign_id(tmp_path, config, "mine.Mine")
    assert foreign_id(tmp_path, config, "mine.Mine") == first
    (package / "plot.py").write_text("COLOR = 2\n")
    assert foreign_id(tmp_path, config, "mine.Mine") == first
    seen = {first}
    for name in ("boundary.py", "base.py", "rule.py"):
        with (package / name).open("a") as file:
            file.write("# edited\n")
        seen.add(foreign_id(tmp_path, config, "mine.Mine"))
    assert len(seen) == 4


def test_source_of_a_single_file_and_its_neighbor_counts(config, tmp_path):
    (tmp_path / "my_boundary.py").write_text("from my_rule import limit\nclass Mine: ...\n")
    (tmp_path / "my_rule.py").write_text("def limit(): return 1\n")
    first = foreign_id(tmp_path, config, "my_boundary.Mine")
    (tmp_path / "my_rule.py").write_text("def limit(): return 2\n")
    assert foreign_id(tmp_path, config, "my_boundary.Mine") != first


def test_a_constant_of_a_neighbor_counts(config, tmp_path):
    package = tmp_path / "mine"
    package.mkdir()
    (package / "boundary.py").write_text("from .settings import WITHIN\nclass Mine: limit = WITHIN\n")
    (package / "settings.py").write_text("from mine import deep\nWITHIN = 1 + deep.MORE\n")
    (package / "deep.py").write_text("MORE = 1\n")
    seen = {foreign_id(tmp_path, config, "mine.boundary.Mine")}
    for name, text in (("settings.py", "from mine import deep\nWITHIN = 2 + deep.MORE\n"), ("deep.py", "MORE = 2\n")):
        (package / name).write_text(text)
        seen.add(foreign_id(tmp_path, config, "mine.boundary.Mine"))
    assert len(seen) == 3


def test_an_import_in_a_function_counts_and_is_not_run(config, tmp_path):
    body = "class Mine:\n    def __call__(self):\n        from my_rule.limits import LIMIT\n        return LIMIT\n"
    check = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import my_types\n"
    (tmp_path / "my_boundary.py").write_text(check + body)
    (tmp_path / "my_types.py").write_text("Text = str\n")
    rule = tmp_path / "my_rule"
    rule.mkdir()
    (rule / "__init__.py").write_text("raise SystemExit('this was imported')\n")
    (rule / "limits.py").write_text("LIMIT = 1\n")
    first = foreign_id(tmp_path, config, "my_boundary.Mine")
    (tmp_path / "my_types.py").write_text("Text = bytes\n")
    assert foreign_id(tmp_path, config, "my_boundary.Mine") == first  # for type checkers alone
    (rule / "limits.py").write_text("LIMIT = 2\n")
    assert foreign_id(tmp_path, config, "my_boundary.Mine") != first


def test_the_digest_of_a_module_and_what_it_takes_a_class_from_is_as_ever(tmp_path, monkeypatch):
    (tmp_path / "lone_rule.py").write_text("class Base: ...\n")
    (tmp_path / "lone_boundary.py").write_text(
        "import json\nimport torch\nfrom lone_rule import Base\nclass Mine(Base): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    digest = hashlib.sha256()
    for name in ("lone_boundary", "lone_rule"):
        digest.update(f"{name}\n".encode() + (tmp_path / f"{name}.py").read_bytes())
    assert source_digest("lone_boundary.Mine") == digest.hexdigest()


def test_targets_that_are_not_there_are_named(config):
    for target in ("no_such_module.Mine", "json.NoSuchThing"):
        with pytest.raises(ValueError, match=f"_target_={target}"):
            train_id(changed(config, "assign.boundary._target_", target), DIGESTS)


def test_builtins_and_the_standard_library_do_not_count_by_source(config):
    for target in ("builtins.dict", "collections.OrderedDict"):
        other = changed(config, "optim._target_", target)
        assert train_id(other, DIGESTS) not in ("", train_id(config, DIGESTS))  # the name of a class counts
