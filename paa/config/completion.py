"""Shell completion of paa-evaluate, paa-predict, paa-convert and paa-runs; that of paa-train is Hydra's.

    eval "$(paa-evaluate -sc install=bash)"      also zsh;  fish: paa-evaluate -sc install=fish | source

completes keys, ids of runs below runs_dir, choices and paths. The script that `install` prints has the shell ask the
command itself, `-sc query=SHELL`, with the half-typed line in COMP_LINE: a process for each press of TAB, so nothing
here imports torch or Hydra. `python -m paa.evaluate` is completed as little as any other argument of `python`.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from paa.config.test_time_keys import open_keys
from paa.store.paths import runs

_BASH = """\
_paa_complete() {
    local IFS=$'\\n' line="${COMP_LINE:0:$COMP_POINT}" cut=""
    local word="${line##* }"
    # where "=" ends a word for readline, it replaces what stands behind the last one alone
    [[ $COMP_WORDBREAKS == *=* && $word == *=* ]] && cut="${word%"${word##*=}"}"
    COMPREPLY=($(COMP_LINE="$line" "$1" -sc query=bash 2> /dev/null))
    COMPREPLY=("${COMPREPLY[@]#"$cut"}")
}
complete -o nospace -F _paa_complete COMMAND
"""

_ZSH = """\
_paa_complete() {
    local -a found
    found=("${(@f)$(COMP_LINE="${(j: :)words[1,CURRENT-1]} $PREFIX" $words[1] -sc query=zsh 2> /dev/null)}")
    compadd -Q -S '' -- $found
}
whence compdef > /dev/null || { autoload -Uz compinit && compinit }
compdef _paa_complete COMMAND
"""

_FISH = """\
function _paa_complete
    set -lx COMP_LINE (commandline -cp)
    set -l words (commandline -cpo)
    $words[1] -sc query=fish 2> /dev/null
end
complete -c COMMAND -f -a '(_paa_complete)'
"""

SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
"""What each shell evaluates to complete COMMAND."""

_CHOICES = {
    "data.split": ("train", "val", "test", "test-dev"),
    "device": ("auto", "cpu", "cuda"),
    "pictures": ("true", "false"),
    "postprocess.voting": ("true", "false", "both"),
    "lock.if_locked": ("wait", "skip"),
}
_OWN = {
    "paa-evaluate": ("run", "runs_dir"),
    "paa-predict": ("run", "runs_dir", "images", "out", "score", "pictures"),
    "paa-convert": ("assign", "auxiliary", "compat", "data"),
}
"""Keys of each command that are not of a finished run's configuration."""

_PATHS = frozenset({"runs_dir", "images", "out", "data.root"})


def completes(command: str, argv: Sequence[str], words: Mapping[str, int] | None = None) -> bool:
    """Whether `argv` is a shell's question (-sc ...), which then is answered on stdout; exit code 2 for a wrong one.

    command  the console script.
    words    for a command of words in place of key=value: each, and how many ids of runs follow it.
    """
    flag = next((flag for flag in ("-sc", "--shell-completion") if flag in argv), None)
    if flag is None:
        return False
    what, _, shell = "".join(argv[list(argv).index(flag) + 1 :][:1]).partition("=")
    if shell not in SCRIPTS or what not in ("install", "query"):
        print(f"{command}: {flag}: must be install=bash, install=zsh or install=fish", file=sys.stderr)
        raise SystemExit(2)
    if what == "install":
        print(SCRIPTS[shell].replace("COMMAND", command), end="")
    else:
        line = os.environ.get("COMP_LINE", "")
        typed = line[: int(os.environ.get("COMP_POINT") or len(line))]
        parts = [*typed.split(), *([""] if typed[-1:].isspace() else [])][1:] or [""]
        if words is not None:
            found = _of_words(parts, words)
        elif command == "paa-convert" and len(parts) <= 2:  # IN and OUT, before any key=value
            found = _below(parts[-1])
        else:
            found = _of_keys(command, parts)
        print("\n".join(sorted(one for one in found if one.startswith(parts[-1]))))
    return True


def _of_keys(command: str, parts: Sequence[str]) -> Iterable[str]:
    """Whole words that the last of `parts` may become, for a command of key=value."""
    key, equals, value = parts[-1].partition("=")
    if not equals:
        given = {part.partition("=")[0] for part in parts[:-1]}
        flags = ["--help", "--config-dir", *(["-m"] if command == "paa-evaluate" else [])]
        return [*(f"{name}=" for name in [*_OWN[command], *open_keys()] if name not in given), *flags]
    if key == "run":
        folder = next((part.partition("=")[2] for part in parts if part.startswith("runs_dir=")), "runs")
        return [f"run={one.train_id}" for one in runs(Path(folder)) if one.finished]
    return [f"{key}={one}" for one in (_below(value) if key in _PATHS else _CHOICES.get(key, ()))]


def _of_words(parts: Sequence[str], words: Mapping[str, int]) -> Iterable[str]:
    """The same for a command of words: `show ID`."""
    if parts[-2:-1] == ["--runs-dir"]:
        return _below(parts[-1])
    folder = next((after for flag, after in itertools.pairwise(parts) if flag == "--runs-dir"), "runs")
    plain = [part for before, part in zip(["", *parts], parts[:-1], strict=False) if before != "--runs-dir"]
    plain = [part for part in plain if not part.startswith("-")]
    if not plain:
        return [*words, "--runs-dir", "--help"]
    if len(plain) <= words.get(plain[0], 0):
        return [*(one.train_id for one in runs(Path(folder))), "--runs-dir"]
    return ["--runs-dir"]


def _below(typed: str) -> list[str]:
    """Paths that begin as `typed` does; folders end in a slash."""
    name = typed.rpartition("/")[2]
    before = typed[: len(typed) - len(name)]
    start = Path(before or ".").expanduser()
    try:
        entries = [entry for entry in start.iterdir() if name.startswith(".") or not entry.name.startswith(".")]
    except OSError:
        return []
    return [f"{before}{entry.name}{'/' if entry.is_dir() else ''}" for entry in entries]
