"""The host side of nucseg: the `nucseg` command. Nothing heavy is imported before it is needed."""
