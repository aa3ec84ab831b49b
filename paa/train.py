"""Train and evaluate: `python -m paa.train [group=choice] [key=value]`, or a sweep with -m."""

from __future__ import annotations

import sys

from paa.log import open_streams


def main() -> None:
    """Exit codes: 0, 1 a job failed, 2 refused before anything ran, 130 and 143 interrupted."""
    open_streams()
    try:
        from paa.config.compose import read

        command = read(sys.argv[1:])
        if command is not None:
            from paa.commands.train import main as train  # imports torch

            sys.exit(train(command, sys.argv[1:]))
    except KeyboardInterrupt:  # before the first job or between two
        print("paa.train: interrupted", file=sys.stderr)
        sys.exit(130)
    except MemoryError:
        sys.exit("paa.train: out of memory before the first job began")


if __name__ == "__main__":
    main()
