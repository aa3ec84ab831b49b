"""Errors about runs. All are a RunError; each message names the file, key or ID and what would be right."""

from __future__ import annotations

from paa.checks import UserError


class RunError(UserError):
    """Base class of errors about runs."""


class IdentityError(RunError, ValueError):
    """A configuration that has no run ID."""


class LockLost(RunError, RuntimeError):  # noqa: N818
    """Another process took the run's lock; nothing may be written any more."""


class UntrustedCode(RunError, ValueError):  # noqa: N818
    """A record names code that must not be executed, or that has changed since."""


class RunNotFound(RunError, LookupError):  # noqa: N818
    """No run, or more than one, has an ID with this prefix."""


class BadRecord(RunError, ValueError):  # noqa: N818
    """A file that is not a complete record."""
