"""Synthetic fluorescence volumes of nuclei with exact labels, seeded."""

from nucseg.simulation.presets import Preset, presets
from nucseg.simulation.simulator import simulate

__all__ = ["Preset", "presets", "simulate"]
