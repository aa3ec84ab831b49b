"""What would run, did run, or should go: dry run, table rows, status, pruning."""
