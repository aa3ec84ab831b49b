"""The direction of the arrows: a room of the package imports rooms below it alone, and only the rim knows Hydra."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "paa"

ROOMS = (
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
"""From the bottom to the entry points; packages of one line do not know each other."""

HYDRA = {"hydra", "omegaconf"}
RIM = {"config"}
"""The package that may know Hydra."""

EXCEPTIONS: dict[tuple[str, str], str] = {}
"""{(file, package that it imports from above): why}."""

_LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}


def imports(file: Path) -> Iterator[str]:
    """Dotted names that a file imports, at its top or in a function; `from paa import x` as "paa.x".

    What stands under `if TYPE_CHECKING:` counts, too: who has the type in mind knows the room.
    """
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: the package imports by full names"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def upward(file: Path) -> set[str]:
    """The rooms at the height of this file's or above it that it imports."""
    own = room_of(file)
    used = {name.split(".")[1] for name in imports(file) if name.startswith("paa.")} & _LEVEL.keys()
    return {room for room in used - {own} if _LEVEL[room] >= _LEVEL[own]}


FILES = [file for file in sorted(PACKAGE.rglob("*.py")) if file != PACKAGE / "__init__.py"]


def test_every_file_belongs_to_a_room():
    assert {room_of(file) for file in FILES} == set(_LEVEL)


def test_no_room_imports_from_above_but_where_a_reason_is_given():
    found = {(file.relative_to(PACKAGE).as_posix(), room) for file in FILES for room in upward(file)}
    assert found == EXCEPTIONS.keys()


def test_only_the_rim_knows_hydra():
    found = {room_of(file) for file in FILES if HYDRA & {name.split(".")[0] for name in imports(file)}}
    assert found == RIM
