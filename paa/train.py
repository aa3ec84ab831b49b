"""Train and evaluate: `python -m paa.train [group=choice] [key=value]`, or a sweep with -m."""

from __future__ import annotations

import sys


def main() -> None:
    """Exit codes: 0, 1 a job failed, 2 refused before anything ran, 130 and 143 interrupted."""
    try:
        from paa.config.compose import read

        command = read(sys.argv[1:])
        if command is not None:
            from paa.commands.train import main as train  # imports torch

            sys.exit(train(command, sys.argv[1:]))
    except KeyboardInterrupt:  # before the first job or between two
        sys.exit(130)


if __name__ == "__main__":
    main()
