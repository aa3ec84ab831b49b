"""Read the pages of the documentation: code blocks, the files whose content they show, and command lines."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]

PAGES = (REPO / "README.md", *sorted((REPO / "docs").glob("*.md")))

_FENCE = re.compile(r"^```(\w*)\s*$")
_FILE = re.compile(r"`([\w./-]+\.(?:py|ya?ml|json|sh|md))`:?$")
_SHELL = ("sh", "bash", "shell", "console")
_MAY_HOLD_COMMANDS = ("", "text", *_SHELL)
_PROGRAM = re.compile(r"^(?:python[\d.]*|make|torchrun|pip|paa-\w+|pytest|wandb)$")
_STATEMENT = re.compile(r"^\w+(?:\.\w+)+\(.*\)$")
"""A line of Python in a block without a language: a call of a function of some module."""


@dataclass(frozen=True)
class Block:
    """A code block: its language ("" if not given, as of an indented block), its lines, and the line before it."""

    language: str
    text: str
    before: str
    fenced: bool


@dataclass(frozen=True)
class Command:
    """A command line of a page, without its comment; `words` leaves out variables that are set before it."""

    page: str
    line: str

    @property
    def words(self) -> list[str]:
        return [word for word in shlex.split(self.line) if not re.match(r"^[A-Z_]+=", word)]

    def __str__(self) -> str:
        return f"{self.page}: {self.line}"


def blocks(text: str) -> list[Block]:
    """Return all code blocks of a page, fenced or indented by four spaces."""
    out: list[Block] = []
    lines, before, i = text.splitlines(), "", 0
    while i < len(lines):
        fence = _FENCE.match(lines[i])
        indented = lines[i].startswith("    ") and (i == 0 or not lines[i - 1].strip())
        body = []
        if fence:
            i += 1
            while i < len(lines) and not lines[i].startswith("```"):
                body.append(lines[i])
                i += 1
            i += 1
        elif indented:
            while i < len(lines) and (lines[i].startswith("    ") or not lines[i].strip()):
                body.append(lines[i][4:])
                i += 1
        if fence or indented:
            out.append(Block(fence[1] if fence else "", "\n".join(body).rstrip() + "\n", before, bool(fence)))
            before = ""
        else:
            before = lines[i].strip() or before
            i += 1
    return out


def files(text: str) -> dict[str, str]:
    """Return {path: content} of the files that a page shows: the line before such a block ends in `path`."""
    found = {}
    for block in blocks(text):
        name = _FILE.search(block.before)
        if name and block.language not in ("sh", "bash"):
            found[name[1]] = block.text
    return found


def write_files(page: Path, folder: Path) -> None:
    """Write the files that a page shows below `folder`."""
    for name, content in files(page.read_text()).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def commands(page: Path) -> list[Command]:
    """Return every command line in the code blocks of a page; of a shell block every line.

    A line of Python (`_STATEMENT`) becomes `python -c LINE`.
    """
    found = []
    for block in blocks(page.read_text()):
        if block.language not in _MAY_HOLD_COMMANDS:
            continue
        for line in block.text.replace("\\\n", " ").splitlines():
            plain = re.sub(r"\s+#\s.*$|^#.*$", "", re.sub(r"^\$ ", "", line.strip())).strip()
            if _STATEMENT.match(plain):
                found.append(Command(page.name, f"python -c {shlex.quote(plain)}"))
            elif plain and (block.language in _SHELL or _is_command(plain)):
                found.append(Command(page.name, re.sub(r"\s+", " ", plain)))
    return found


def _is_command(line: str) -> bool:
    try:
        words = [word for word in shlex.split(line) if not re.match(r"^[A-Z_]+=", word)]
    except ValueError:
        return False
    return bool(words) and bool(_PROGRAM.match(words[0]))
