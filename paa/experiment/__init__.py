"""One run, from its resolved configuration to its record."""
