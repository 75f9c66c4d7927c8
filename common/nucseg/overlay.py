"""Pictures to judge a result by: mid sections with the outlines of the labels."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nucseg.atomic import atomic_path
from nucseg.normalisation import intensity_limits
from nucseg.volume import Volume

if TYPE_CHECKING:
    from PIL.Image import Image

_WIDTH = 1600
_GAP = 8
# Flatter sections are put on top of each other instead of side by side.
_FLAT = 2.5
_GOLDEN_RATIO = 0.6180339887498949


@dataclass(frozen=True)
class _Section:
    """A plane of the volume; its rows and columns are two of the axes Z, Y and X."""

    name: str
    normal: int
    rows: int
    columns: int


_SECTIONS = (_Section("xy", 0, 1, 2), _Section("xz", 1, 0, 2), _Section("yz", 2, 0, 1))


def write_overlays(folder: Path, stem: str, volume: Volume, labels: np.ndarray) -> list[Path]:
    """Write ``<stem>_{xy,xz,yz}.png``: the section as it is, and with an outline around each nucleus.

    The first letter of the name runs to the right, the second one down. Sections go through the
    median labelled voxel along each axis (the middle where there is none) and are stretched to
    isotropic pixels when the voxel size is known. Intensities between the percentiles 0.5 and 99.8
    of the section become black to white. A label has the same colour in all pictures.

    Parameters
    ----------
    folder : pathlib.Path
        Where the pictures go. It must exist.
    stem : str
        Of the file names.
    volume : Volume
    labels : numpy.ndarray
        ZYX, of the same shape; integers, 0 for background.

    Returns
    -------
    list of pathlib.Path
        The three files.

    Raises
    ------
    NucsegError
        With `ENVIRONMENT`, when a file cannot be written.
    """
    middle = _middle(labels)
    paths = []
    for section in _SECTIONS:
        picture = _picture(section, middle[section.normal], volume, labels)
        paths.append(folder / f"{stem}_{section.name}.png")
        with atomic_path(paths[-1]) as part:
            picture.save(part, format="PNG")
    return paths


def _middle(labels: np.ndarray) -> list[int]:
    """Median position of the labelled voxels along Z, Y and X."""
    counts = [np.zeros(n, np.int64) for n in labels.shape]
    for z, plane in enumerate(labels):
        mask = plane != 0
        counts[0][z] = np.count_nonzero(mask)
        counts[1] += mask.sum(axis=1)
        counts[2] += mask.sum(axis=0)
    if not counts[0].any():
        return [n // 2 for n in labels.shape]
    return [int(np.searchsorted(np.cumsum(c), (c.sum() + 1) // 2)) for c in counts]


def _picture(section: _Section, position: int, volume: Volume, labels: np.ndarray) -> "Image":
    from PIL import Image

    # By its index: `take` would copy the whole of a volume that lies on disk, beside other channels.
    raw, outlined = (np.moveaxis(array, section.normal, 0)[position] for array in (volume.data, labels))
    size, micrometres = _display_size(section, volume)
    grey = np.asarray(Image.fromarray(_stretched(raw.astype(np.float32))).resize(size, Image.Resampling.BILINEAR))
    left = np.repeat(grey.clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
    right = _with_outlines(left, _enlarged(outlined, size))
    if micrometres:
        left = _with_scale_bar(left, micrometres)
    flat = size[0] > _FLAT * size[1]
    gap = np.full((_GAP, size[0], 3) if flat else (size[1], _GAP, 3), 255, np.uint8)
    return Image.fromarray(np.concatenate([left, gap, right], axis=0 if flat else 1))


def _display_size(section: _Section, volume: Volume) -> tuple[tuple[int, int], float | None]:
    """Columns and rows of one panel, and µm per pixel when the voxel size is known."""
    voxel = volume.voxel_size or (1.0, 1.0, 1.0)
    width, height = (volume.shape[a] * voxel[a] for a in (section.columns, section.rows))
    pixel = min(voxel[section.columns], voxel[section.rows])
    across = 1 if width > _FLAT * height else 2
    room = (_WIDTH - _GAP * (across - 1)) // across
    largest = max(width, height) / pixel
    scale = room / largest if largest > room else room // largest
    size = max(1, round(width / pixel * scale)), max(1, round(height / pixel * scale))
    return size, pixel / scale if volume.voxel_size else None


def _stretched(raw: np.ndarray) -> np.ndarray:
    """Intensities as 0 to 255, float32, not yet clipped."""
    low, high = intensity_limits(raw, 0.5, 99.8)
    return np.float32(255) * ((raw - np.float32(low)) / np.float32(max(high - low, 1e-20))).clip(0, 1)


def _enlarged(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Labels at `size` (columns, rows), by nearest neighbour."""
    rows = (np.arange(size[1]) + 0.5) * labels.shape[0] // size[1]
    columns = (np.arange(size[0]) + 0.5) * labels.shape[1] // size[0]
    return labels[np.ix_(rows.astype(np.intp), columns.astype(np.intp))]


def _with_outlines(picture: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Colour the labelled pixels that have a neighbour of another label."""
    edge = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        changes = np.diff(labels.astype(np.int64), axis=axis) != 0
        before, after = [slice(None)] * 2, [slice(None)] * 2
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        edge[tuple(before)] |= changes
        edge[tuple(after)] |= changes
    edge &= labels != 0
    result = picture.copy()
    result[edge] = _colours(labels[edge])
    return result


def _colours(labels: np.ndarray) -> np.ndarray:
    """A bright colour per label: hues a golden section apart, so that consecutive labels differ most."""
    hue = (labels.astype(np.float64) * _GOLDEN_RATIO) % 1.0
    ramps = np.abs((hue[:, None] * 6 + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1
    return (255 * (0.35 + 0.65 * ramps.clip(0, 1))).astype(np.uint8)


def _with_scale_bar(picture: np.ndarray, micrometres: float) -> np.ndarray:
    """A bar of a round length in the lower right corner, where there is room for it."""
    from PIL import Image, ImageDraw, ImageFont

    height, width = picture.shape[:2]
    length = round_length(width * micrometres / 4)
    pixels = round(length / micrometres)
    if height < 60 or pixels < 20:
        return picture
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    right, bottom = width - 14, height - 14
    draw.rectangle((right - pixels, bottom - 4, right, bottom), fill="white", outline="black")
    draw.text(
        (right - pixels / 2, bottom - 8),
        f"{length:g} um",  # Pillow's own font has no µ
        fill="white",
        font=ImageFont.load_default(18),
        anchor="mb",
        stroke_width=1,
        stroke_fill="black",
    )
    return np.asarray(image)


def round_length(length: float) -> float:
    """The largest of 1, 2 and 5 times a power of 10 that is not above `length`.

    Examples
    --------
    >>> round_length(34.0), round_length(0.9)
    (20.0, 0.5)
    """
    power = 10.0 ** np.floor(np.log10(length))
    return float(max(step * power for step in (1, 2, 5) if step * power <= length * (1 + 1e-9)))
