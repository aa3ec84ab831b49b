"""Check a data set before training: `python -m paa.data check data=custom data.root=DIR [key=value]`."""

from paa.commands.check_data import main

if __name__ == "__main__":
    main()
