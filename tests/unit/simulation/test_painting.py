"""Drawn nuclei have the volume that their axes say, keep apart, and none is lost."""

import dataclasses

import numpy as np
import pytest

from nucseg.simulation import presets
from nucseg.simulation.layout import MITOTIC, PLAIN, Layout, make_layout
from nucseg.simulation.painting import Canvas, Chromatin, open_clefts, paint_nuclei, scatter_debris

SMOOTH = dataclasses.replace(presets()["tissue"], deformation=(0, 0), texture=(0, 0), speckle=(0, 0))


def generator():
    return np.random.Generator(np.random.PCG64(5))


def layout_of(centres, axes):
    n = len(centres)
    return Layout(np.array(centres, float), np.array(axes, float), np.tile(np.eye(3), (n, 1, 1)), np.full(n, PLAIN))


@pytest.mark.parametrize("step", [1.0, 1.5])
def test_separate_nuclei_are_all_drawn_with_their_exact_volume(step):
    axes = [(9, 7, 6), (6, 6, 6), (5, 8, 10), (7, 5, 5)]
    layout = layout_of([(15.3, 15.1, 15.4), (15.2, 45, 15.7), (15.4, 15, 45.3), (15.1, 45.3, 45.6)], axes)
    canvas = Canvas.blank((int(30 / step) + 1, 60, 60), step)
    drawn = paint_nuclei(generator(), canvas, layout, Chromatin(generator(), SMOOTH, 14, step), 0.0)
    assert drawn == 4
    volumes = np.bincount(canvas.labels.ravel())[1:] * step
    assert volumes == pytest.approx([4 / 3 * np.pi * np.prod(a) for a in axes], rel=0.03)
    assert np.all(canvas.signal[canvas.labels > 0] > 0)
    assert not canvas.signal[canvas.labels == 0].any()


def test_a_nucleus_inside_another_is_left_out_and_numbers_stay_consecutive():
    layout = layout_of([(15, 20, 20), (15, 21, 20), (15, 20, 45)], [(8, 8, 8)] * 3)
    canvas = Canvas.blank((31, 40, 60), 1.0)
    assert paint_nuclei(generator(), canvas, layout, Chromatin(generator(), SMOOTH, 16, 1.0), 0.1) == 2
    assert np.unique(canvas.labels).tolist() == [0, 1, 2]


def test_neighbours_share_the_space_between_them():
    layout = layout_of([(12, 14, 14), (12, 14, 27)], [(8, 8, 8)] * 2)
    canvas = Canvas.blank((25, 28, 42), 1.0)
    assert paint_nuclei(generator(), canvas, layout, Chromatin(generator(), SMOOTH, 16, 1.0), 0.3) == 2
    row = canvas.labels[12, 14]
    assert row[20] == 1
    assert row[21] == 2
    before = canvas.signal.copy()
    open_clefts(canvas, 0.5)
    assert canvas.signal[12, 14, 20] == pytest.approx(before[12, 14, 20] / 2)
    assert canvas.signal[12, 14, 10] == before[12, 14, 10]


def test_debris_has_light_but_no_label():
    canvas = Canvas.blank((20, 40, 40), 1.0)
    scatter_debris(generator(), canvas, 10)
    assert canvas.signal.max() > 0
    assert not canvas.labels.any()


@pytest.mark.parametrize("arrangement", ["volume", "layer", "shell", "clusters", "files"])
def test_every_arrangement_gives_nuclei_that_hardly_overlap(arrangement):
    preset = dataclasses.replace(SMOOTH, arrangements=(arrangement,), fill=(0.1, 0.2), spacing=(1, 1))
    layout = make_layout(generator(), preset, (60.0, 100.0, 100.0), 14.0)
    layout = dataclasses.replace(layout, kinds=np.where(layout.kinds == MITOTIC, PLAIN, layout.kinds))
    inside = np.all((layout.centres > 0) & (layout.centres < (60, 100, 100)), axis=1)
    assert np.count_nonzero(inside) >= 3
    canvas = Canvas.blank((60, 100, 100), 1.0)
    drawn = paint_nuclei(generator(), canvas, layout, Chromatin(generator(), preset, 14.0, 1.0), 0.1)
    assert drawn > 0.75 * np.count_nonzero(inside)
