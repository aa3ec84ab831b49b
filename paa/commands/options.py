"""Commands that speak Hydra's grammar of overrides without its application: evaluate and predict."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from paa.config.errors import USER_ERRORS, ConfigError, format_error
from paa.engine.signals import Interrupted
from paa.log import print_line


def command_line(usage: str, argv: Sequence[str]) -> tuple[list[str], bool, str | None]:
    """(overrides, whether -m was given, --config-dir); prints `usage` and ends for --help, or without arguments."""
    rest, multirun, config_dir = list(argv), False, None
    if not rest or {"-h", "--help"} & set(rest):
        print(usage, end="")
        raise SystemExit(0 if rest else 2)
    overrides: list[str] = []
    while rest:
        word = rest.pop(0)
        if word in ("-m", "--multirun"):
            multirun = True
        elif word in ("--config-dir", "-cd") and rest:
            config_dir = rest.pop(0)
        elif word.startswith("-"):
            print(f"{word}: no such option\n\n{usage}", end="", file=sys.stderr)
            raise SystemExit(2)
        else:
            overrides.append(word)
    return overrides, multirun, config_dir


def required(own: Mapping[str, Any], name: str, what: str) -> str:
    """The value of the command's own key `name`."""
    if own.get(name) in (None, ""):
        raise ConfigError(f"{name} is missing: add {name}=..., {what}")
    return str(own[name])


@contextmanager
def refusing(module: str, code: int) -> Iterator[None]:
    """What a person can put right ends the process with one line and `code`."""
    try:
        yield
    except USER_ERRORS as error:
        if int(os.environ.get("RANK", "0")) == 0:  # of several processes all refuse, and one says so
            print_line(format_error(module, error), sys.stderr)
        raise SystemExit(code) from None
    except Interrupted as stop:
        print_line(f"{module}: {stop}", sys.stderr)
        raise SystemExit(stop.code) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
