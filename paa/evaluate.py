"""Evaluate a finished run again: `python -m paa.evaluate run=ID [key=value]`, or a sweep with -m."""

from paa.commands.evaluate import main

if __name__ == "__main__":
    main()
