"""The option parser that every command shares, and how a command ends when something is wrong."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from paa.checks import UserError
from paa.log import open_streams

if TYPE_CHECKING:
    from paa.config.compose import Composer


def parser(module: str, usage: str, text: str | None, multirun: bool = False) -> argparse.ArgumentParser:
    """Return a parser of `--config-dir DIR` and key=value words for `python -m MODULE`.

    usage     what follows the program's name.
    text      docstring of the command's file: what it does and how it ends; after a blank line, its keys and examples.
    multirun  whether `-m` starts a sweep.
    """
    description, _, keys = (text or "").partition("\n\n")
    out = argparse.ArgumentParser(
        prog=f"python -m {module}",
        usage=f"%(prog)s {usage}",
        description=description,
        epilog=keys,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_config_dir(out)
    if multirun:
        out.add_argument("-m", "--multirun", action="store_true", help="run one job for each combination of values")
    return out


def add_config_dir(out: argparse.ArgumentParser) -> None:
    """Add `--config-dir`, with the two spellings that Hydra has for it."""
    out.add_argument("--config-dir", "-cd", metavar="DIR", help="folder with your own groups, choices and table rows")


def parsed(out: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse a command line whose words and options may be mixed; without any word, print the help and exit with 2."""
    open_streams()
    words = sys.argv[1:] if argv is None else list(argv)
    if not words:
        out.print_help(sys.stderr)
        raise SystemExit(2)
    out.add_argument("overrides", nargs="*", default=[], metavar="key=value", help="settings, as listed below")
    return out.parse_intermixed_args(words)


def composer(options: argparse.Namespace) -> Composer:
    """Return the composer of a command line; your own classes are found in the current folder from then on."""
    from paa.config.compose import Composer
    from paa.config.user_code import add_cwd_to_path

    add_cwd_to_path()
    return Composer(options.config_dir)


def required(own: Mapping[str, Any], name: str, what: str) -> str:
    """Return the value of the command's own key `name`; UserError if it is missing."""
    if own.get(name) in (None, ""):
        raise UserError(f"{name} is missing: add {name}=..., {what}")
    return str(own[name])


@contextmanager
def warnings_on_stderr() -> Iterator[None]:
    """Print warnings, such as those of unreadable records, in one line each."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
        yield


@contextmanager
def refusing(module: str, code: int) -> Iterator[None]:
    """Turn an error that the user can fix into one line on stderr and the exit code `code`."""
    from paa.config.errors import format_error
    from paa.engine.signals import Interrupted
    from paa.log import print_line

    try:
        yield
    except (UserError, OSError) as error:
        if int(os.environ.get("RANK", "0")) == 0:  # of several processes all refuse, and one says so
            print_line(format_error(module, error), sys.stderr)
        raise SystemExit(code) from None
    except Interrupted as stop:
        print_line(f"{module}: {stop}", sys.stderr)
        raise SystemExit(stop.code) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
