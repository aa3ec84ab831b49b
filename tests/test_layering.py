"""The layers of the package: a room imports only rooms below it, and only `config` imports Hydra."""

import ast
from collections.abc import Iterator
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
PACKAGE = REPO / "paa"

LAYERS = (
    {"checks", "files", "log", "structures"},
    {"boxes", "anchors", "losses"},
    {"assign", "auxiliary", "voting"},
    {"drawing"},
    {"criterion", "datasets", "detector", "multiscale", "postprocess"},
    {"engine", "evaluation"},
    {"conversion", "inference", "store"},
    {"tracking", "tables", "figures"},
    {"config"},
    {"experiment"},
    {"launch"},
    {"planning"},
    {"commands"},
    {"train", "evaluate", "predict", "convert", "runs", "data"},
)
"""From the bottom to the entry points. Rooms of one layer do not import each other."""

HYDRA = {"hydra", "omegaconf"}

MOST_FILES = 20
"""Files of a folder."""
MOST_OF_THE_CODE = 0.15
"""Share of a folder in the lines of the package."""
MOST_LINES = 400
"""Lines of a file, blank ones and comments included."""
ENTRY_POINT_LINES = 30

FILES = [file for file in sorted(PACKAGE.rglob("*.py")) if file != PACKAGE / "__init__.py"]
_LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}


def imports(file: Path) -> Iterator[str]:
    """Yield the dotted names that a file imports anywhere; `from paa import x` as "paa.x".

    Imports under `if TYPE_CHECKING:` count as well.
    """
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: the package uses absolute imports only"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(file: Path) -> str:
    """Return the room of a file: its folder, or its name where it lies directly in the package."""
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


def upward(file: Path) -> set[str]:
    """Return the rooms of the same or a higher layer that a file imports."""
    own = room_of(file)
    used = {name.split(".")[1] for name in imports(file) if name.startswith("paa.")} & _LEVEL.keys()
    return {room for room in used - {own} if _LEVEL[room] >= _LEVEL[own]}


def lines_of(folder: Path) -> int:
    """Return the lines of the files directly in a folder."""
    return sum(len(file.read_text().splitlines()) for file in folder.glob("*.py"))


def test_every_file_belongs_to_a_layer():
    assert {room_of(file) for file in FILES} == set(_LEVEL)


def test_no_room_imports_from_its_own_layer_or_above():
    assert {(file.relative_to(PACKAGE).as_posix(), room) for file in FILES for room in upward(file)} == set()


def test_only_config_imports_hydra():
    found = {room_of(file) for file in FILES if HYDRA & {name.split(".")[0] for name in imports(file)}}
    assert found == {"config"}


def test_at_most_one_file_imports_what_hydra_keeps_private():
    every = [*FILES, *sorted((REPO / "hydra_plugins").rglob("*.py"))]
    found = {
        file.relative_to(REPO).as_posix()
        for file in every
        for name in imports(file)
        if name.split(".")[0] in HYDRA and any(part.startswith("_") for part in name.split("."))
    }
    assert len(found) <= 1, found


def test_entry_points_are_short():
    lengths = {name: len((PACKAGE / f"{name}.py").read_text().splitlines()) for name in LAYERS[-1]}
    assert {name: length for name, length in lengths.items() if length >= ENTRY_POINT_LINES} == {}


def test_no_folder_and_no_file_is_large():
    folders = {file.parent for file in FILES}
    total = sum(map(lines_of, folders))
    for folder in sorted(folders):
        name = folder.relative_to(REPO).as_posix()
        assert len(list(folder.glob("*.py"))) <= MOST_FILES, name
        assert lines_of(folder) <= MOST_OF_THE_CODE * total, name
    lengths = {file.relative_to(REPO).as_posix(): len(file.read_text().splitlines()) for file in FILES}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}
