"""nucseg: what all methods for 3D nuclei have in common."""

__version__ = "0.1.0"
