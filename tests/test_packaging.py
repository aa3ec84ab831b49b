"""The package works from any folder: as an editable install and as a wheel, with its configuration and its rows."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]

COMPOSE = """
import json, sys
import paa
from paa.config.compose import Composer, resolved
compose = Composer()
config = resolved(compose.compose(["table1=fnp_5"]))
rows = compose.jobs(["table1=glob(*)"], multirun=True)
print(json.dumps([paa.__file__, config["assign"]["boundary"], len(rows)]))
"""


def python(code: str, cwd: Path) -> list:
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def rows() -> int:
    return len(list((REPO / "experiments" / "table1").glob("*.yaml")))


def test_editable_install_composes_a_row_from_an_empty_folder(tmp_path):
    where, boundary, count = python(COMPOSE, tmp_path)
    assert Path(where) == REPO / "paa" / "__init__.py"
    assert (boundary["_target_"], boundary["n"]) == ("paa.assign.boundary.FNP", 5)
    assert count == rows()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(REPO)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_wheel_holds_configuration_and_rows_inside_the_package(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    top = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert top == {"paa", "hydra_plugins"}
    assert {"paa/conf/config.yaml", "paa/conf/assign.boundary/fnp.yaml", "paa/experiments/table1/fnp_5.yaml"} <= set(
        names
    )
    assert "hydra_plugins/paa_search_path/plugin.py" in names
    assert "hydra_plugins/__init__.py" not in names  # it would hide the plugins of others


def test_installed_wheel_composes_a_row_from_an_empty_folder(wheel, tmp_path):
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(installed), str(wheel)]
    subprocess.run(command, check=True, timeout=120)
    # The editable install put the checkout on the path: it must not lend the wheel what the wheel lacks.
    alone = f"import sys; sys.path[:] = [{str(installed)!r}] + [p for p in sys.path if p != {str(REPO)!r}]\n"
    where, boundary, count = python(alone + COMPOSE, empty)
    assert Path(where) == installed / "paa" / "__init__.py"
    assert (boundary["_target_"], boundary["n"]) == ("paa.assign.boundary.FNP", 5)
    assert count == rows()
