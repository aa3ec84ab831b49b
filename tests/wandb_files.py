"""Read the files that wandb writes offline.

A `.wandb` file is a log in LevelDB's format (leveldb, doc/log_format.md) after seven bytes of its own: blocks of 32 kB,
in them fragments of records, each with a checksum (4 bytes), its length (2) and its kind (1). The records are wandb's
protocol buffers. A torn tail is left out.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_MAGIC = b":W&B"
_HEAD, _BLOCK, _FRAGMENT = 7, 32768, struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def records(path: Path) -> Iterator[Any]:
    """Yield the records of a `.wandb` file, in order; nothing where it is none."""
    from wandb.proto import wandb_internal_pb2

    protocol: Any = wandb_internal_pb2  # its names are made when it is imported

    data, at, record = path.read_bytes(), _HEAD, b""
    if not data.startswith(_MAGIC):
        return
    while at + _FRAGMENT.size <= len(data):
        left = _BLOCK - at % _BLOCK
        if left < _FRAGMENT.size:  # the block's end is too short for a fragment's head, and filled with zeros
            at += left
            continue
        _, length, kind = _FRAGMENT.unpack_from(data, at)
        at += _FRAGMENT.size
        if kind not in (_FULL, _FIRST, _MIDDLE, _LAST) or at + length > len(data):
            return
        record = data[at : at + length] if kind in (_FULL, _FIRST) else record + data[at : at + length]
        at += length
        if kind in (_FULL, _LAST):
            yield protocol.Record.FromString(record)


def history(path: Path) -> list[dict[str, Any]]:
    """Return the rows of numbers in a `.wandb` file; the step is "_step"."""
    rows = []
    for record in records(path):
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            rows.append({"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items})
    return rows
