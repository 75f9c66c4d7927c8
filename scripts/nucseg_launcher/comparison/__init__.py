"""What `nucseg compare` finds out about the methods of an output folder, as data: ``comparison.json``."""
