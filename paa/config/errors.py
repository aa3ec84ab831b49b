"""Configuration errors, and how an error is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from paa.checks import OutOfRange, UserError


class ConfigError(UserError):
    """A configuration that cannot be composed or run: `key=value: what is wrong; what would be right`."""


@contextmanager
def keys_below(path: str, name: str | None = None) -> Iterator[None]:
    """Turn an OutOfRange of the block into a ConfigError whose key lies below `path` ("tracking.").

    name  of the key, where it is not what the block calls it.
    """
    try:
        yield
    except OutOfRange as error:
        raise ConfigError(f"{path}{name or error.name}{error.problem}") from error


USER_ERRORS = (UserError, OSError)
"""What a user can fix: one line on the terminal. Anything else is a bug and shows its traceback."""


def reason(error: BaseException) -> str:
    """Return why something failed: the message of a user error, or "KindOfError: message" of any other."""
    return str(error) if isinstance(error, USER_ERRORS) else f"{type(error).__name__}: {error}"


def format_error(module: str, error: Exception) -> str:
    """Return "paa.train: message", after the traceback of user code where the error came from it."""
    return f"{getattr(error, 'trace', '')}{module}: {error}"
