"""One simulated volume with exact labels, from a preset and a seed."""

from pathlib import Path

import numpy as np
from scipy import ndimage

from nucseg.errors import USAGE, NucsegError
from nucseg.simulation import optics
from nucseg.simulation.layout import make_layout
from nucseg.simulation.painting import Canvas, Chromatin, open_clefts, paint_nuclei, scatter_debris
from nucseg.simulation.presets import Preset, get_preset
from nucseg.volume import Shape, Volume

MINIMUM_VOXELS = 10
"""Fragments smaller than this after sampling (cut by the border, or between two planes) get no label."""

MINIMUM_SIDE = 4


def simulate(preset: str, seed: int, shape: Shape | None = None) -> tuple[Volume, np.ndarray]:
    """Simulate a fluorescence volume of nuclei with exact labels.

    The nuclei are drawn on a grid that is about isotropic; the point spread function acts there, and every k-th
    plane of it is the sampled volume, so that labels and image belong to the same points in space.
    The same arguments give the same bytes (with the same releases of numpy and scipy).

    Parameters
    ----------
    preset : str
        A name of `presets()`.
    seed : int
        Not negative. Another seed gives another specimen, microscope and camera.
    shape : Shape, optional
        Number of voxels ZYX, each at least 4; by default the preset's.

    Returns
    -------
    volume : Volume
        uint8 or uint16, with its voxel size in µm, drawn from the preset's range.
    labels : numpy.ndarray
        ZYX, uint16, or uint32 from 65,536 nuclei on; 0 = background, 1 to n without gaps; each label is one
        face-connected component.

    Raises
    ------
    NucsegError
        Unknown preset, negative seed or a shape that is too small.

    Examples
    --------
    >>> volume, labels = simulate("embryo", seed=1, shape=(16, 48, 48))
    >>> volume.data.shape == labels.shape
    True
    """
    chosen = get_preset(preset)
    if seed < 0:
        raise NucsegError(f"The seed {seed} is negative", "a seed of 0 or more", USAGE)
    shape = chosen.shape if shape is None else shape
    if len(shape) != 3 or min(shape) < MINIMUM_SIDE:
        raise NucsegError(f"The shape {shape} can't be simulated", f"three numbers of {MINIMUM_SIDE} or more", USAGE)
    # The name is part of the seed, so that two presets with one seed are two specimens.
    rng = np.random.Generator(np.random.PCG64([seed, *preset.encode()]))
    diameter = optics.draw_log(rng, chosen.diameter)
    anisotropy = optics.draw_log(rng, chosen.anisotropy)
    pixel = rng.uniform(*chosen.diameter_um) / diameter
    canvas, planes = _specimen(rng, chosen, shape, diameter, anisotropy)
    labels = number_labels(canvas.labels[::planes])
    data = _image(rng, chosen, canvas, planes, diameter, anisotropy)
    voxel_size = (round(pixel * anisotropy, 4), round(pixel, 4), round(pixel, 4))
    return Volume(data, voxel_size, Path(f"{preset}_{seed}.tif")), labels


def _specimen(
    rng: np.random.Generator, preset: Preset, shape: Shape, diameter: float, anisotropy: float
) -> tuple[Canvas, int]:
    """The specimen on the fine grid, and how many fine planes make one sampled z step."""
    planes = max(1, int(np.ceil(anisotropy / 1.6)))
    step = anisotropy / planes
    fine: Shape = ((shape[0] - 1) * planes + 1, shape[1], shape[2])
    canvas = Canvas.blank(fine, step)
    layout = make_layout(rng, preset, (fine[0] * step, float(fine[1]), float(fine[2])), diameter)
    chromatin = Chromatin(rng, preset, diameter, step)
    drawn = paint_nuclei(rng, canvas, layout, chromatin, rng.uniform(*preset.overlap))
    open_clefts(canvas, rng.uniform(*preset.cleft))
    scatter_debris(rng, canvas, int(drawn * rng.uniform(*preset.debris) * (rng.random() < 0.5)))
    return canvas, planes


def _image(
    rng: np.random.Generator, preset: Preset, canvas: Canvas, planes: int, diameter: float, anisotropy: float
) -> np.ndarray:
    # Small nuclei would vanish in a blur that large ones bear; and where the blur along z is as long as a nucleus,
    # nobody would draw its outline where the exact label has it.
    psf = min(rng.uniform(*preset.psf_xy), diameter / 8)
    psf_z = min(psf * rng.uniform(*preset.psf_z), diameter / 7)
    signal = optics.blur(canvas.signal, (psf_z / canvas.step, psf, psf))[::planes]
    signal = optics.blur_with_depth(rng, signal, rng.uniform(0, 1))
    signal = optics.add_background(rng, signal, preset, diameter, anisotropy)
    return optics.expose(rng, optics.illuminate(rng, signal, preset), preset)


def number_labels(fine: np.ndarray) -> np.ndarray:
    """Keep each nucleus's largest face-connected part if it has `MINIMUM_VOXELS`, and number them without gaps."""
    labels = np.zeros(fine.shape, np.uint32)
    kept = 0
    for number, box in enumerate(ndimage.find_objects(fine), start=1):
        if box is None:
            continue
        parts, count = ndimage.label(fine[box] == number)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
        largest = int(np.argmax(sizes))
        if sizes[largest] < MINIMUM_VOXELS:
            continue
        kept += 1
        labels[box][parts == largest + 1] = kept
    return labels.astype(np.min_scalar_type(max(kept, 256)), copy=False)
