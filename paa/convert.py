"""Import a checkpoint of another project: `python -m paa.convert IN OUT [key=value]`."""

from paa.commands.convert import main

if __name__ == "__main__":
    main()
