"""From a command line to plain configurations; the only package that depends on Hydra."""
