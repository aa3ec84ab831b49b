"""List, compare and remove runs: `python -m paa.runs`; `paa.runs.collect(runs_dir)` returns all records as a frame."""

import sys

from paa.commands.runs import main
from paa.store.frame import collect

__all__ = ["collect", "main"]

if __name__ == "__main__":
    sys.exit(main())
