"""Atomic file writes.

Each file is written under a temporary name in the same folder, synced to the disk and renamed; the folder is synced
last. A process killed at any moment leaves the old file or the new one, never half of one. It may leave the temporary
file: `clear_leftovers` removes those.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

ASIDE = ".aside"


def sync_folder(folder: Path) -> None:
    """Sync the names in `folder` to the disk, on systems that can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    with contextlib.suppress(OSError):
        os.fsync(handle)
    os.close(handle)


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[IO[bytes]]:
    """Open a binary file that replaces `path` when the block ends, unless it raises.

    The folder of `path` is made where it is missing. `durable=False` leaves out the fsyncs: for what may be lost with
    the machine but must still never be seen half-written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}{ASIDE}")
    try:
        # "x" takes the permissions that the umask grants: others in the group read a shared folder of runs.
        with aside.open("xb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def write_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write `data` to `path` atomically."""
    with replacing(path, durable=durable) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` in UTF-8, atomically."""
    write_bytes(path, text.encode())


def json_bytes(value: Any) -> bytes:
    """Return `value` as indented JSON in UTF-8. numpy numbers become numbers, paths become text.

    Keys stay in their order, so that equal values give equal bytes. Anything else that JSON lacks raises TypeError.
    """
    return (json.dumps(value, indent=1, ensure_ascii=False, default=_plain) + "\n").encode()


def _plain(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON: {value!r}")


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` as `json_bytes`, atomically."""
    write_bytes(path, json_bytes(value))


def read_json(path: Path) -> Any:
    """Return the value in `path`. FileNotFoundError without the file; ValueError naming the file if it is not JSON."""
    data = path.read_bytes()
    try:
        return json.loads(data)
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error}); it was not written whole, or by something else") from error


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a file with one JSON object a line, [] where there is no file. A line that a kill or a full
    disk cut in two is skipped.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return [value for value in found if isinstance(value, dict)]


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return `arrays` as a compressed .npz; equal arrays give equal bytes, whatever the time of writing."""
    import numpy as np

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(array, order="C"), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, member.getvalue(), compresslevel=9)
    return buffer.getvalue()


def clear_leftovers(folder: Path) -> int:
    """Remove the temporary files of killed writers from `folder`; return how many.

    Only for the one process that may write there: it would remove the file of another writer.
    """
    if not folder.is_dir():
        return 0
    leftovers = [p for p in folder.iterdir() if is_aside(p)]
    for path in leftovers:
        path.unlink(missing_ok=True)
    return len(leftovers)


def is_aside(path: Path) -> bool:
    """Return whether a file is a temporary one that was not renamed."""
    return path.name.startswith(".") and path.name.endswith(ASIDE)
