"""Detect objects in a folder of images with a finished run: `python -m paa.predict run=ID images=DIR out=DIR`."""

from paa.commands.predict import main

if __name__ == "__main__":
    main()
