"""Torch blocks that the methods are built from, and the arithmetic of their receptive fields."""
