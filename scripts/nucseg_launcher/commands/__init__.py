"""One module per command: `add_parser` declares it, `execute` does it and returns the exit code."""
