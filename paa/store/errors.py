"""What can be wrong with a run. All are a RunError; each message names the file, key or id and what would be right."""

from __future__ import annotations

from paa.checks import UserError


class RunError(UserError):
    """Something about runs that the user can put right."""


class IdentityError(RunError, ValueError):
    """A configuration that no identity can be given."""


class LockLost(RunError, RuntimeError):  # noqa: N818 - it is what happened, and nobody's mistake
    """Another process has taken the lock over; nothing may be written any more."""


class UntrustedCode(RunError, ValueError):  # noqa: N818
    """A record names code that must not be executed, or that has changed since."""


class RunNotFound(RunError, LookupError):  # noqa: N818
    """No run, or more than one, has an id that begins so."""


class BadRecord(RunError, ValueError):  # noqa: N818
    """A file that is not a whole record."""
