"""List, compare and remove runs: `python -m paa.runs`; `collect(runs_dir)` returns all records as a pandas frame."""

from __future__ import annotations

import sys

from paa.store.frame import collect

__all__ = ["collect"]


def main() -> None:
    """Console script `paa-runs`."""
    from paa.commands.runs import main

    sys.exit(main())


if __name__ == "__main__":
    main()
