"""The rim: composition of configurations and what entry points share. Below it nothing knows Hydra."""
