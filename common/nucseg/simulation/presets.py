"""What the simulator can imitate: one preset per kind of specimen and microscope, as data.

A preset gives ranges, not values: each seed draws its own specimen, microscope and camera from them,
wide enough that a network trained on the volumes meets more than any one data set holds.
"""

from dataclasses import dataclass

from nucseg.errors import USAGE, NucsegError
from nucseg.volume import Shape

Range = tuple[float, float]


@dataclass(frozen=True)
class Preset:
    """The ranges that one kind of volume is drawn from.

    Ranges are (low, high), drawn uniformly unless "log" is said (uniform in the logarithm). Levels are relative
    to the signal of a nucleus of brightness 1. Probabilities are per volume, shares are of the nuclei.

    Attributes
    ----------
    summary : str
        One line for people.
    shape : Shape
        Shape of the volume when the caller names none, ZYX.
    arrangements : tuple of str
        Where nuclei lie, one drawn per volume: "volume", "layer", "shell", "clusters" or "files".
    diameter : Range
        Median nucleus diameter (of the sphere of the same volume), in xy voxels; log.
    diameter_um : Range
        The same in µm; together they give the voxel size.
    anisotropy : Range
        z step / xy pixel; log.
    size_spread : Range
        Standard deviation of the logarithm of the diameter within a volume.
    fill : Range
        Share of the occupied space that nuclei are asked to fill; packing may end below it.
    spacing : Range
        Distance of neighbours that push each other apart, in units of their touching distance.
    overlap : Range
        Share of a nucleus that may be flattened against neighbours.
    elongation, flatness : Range
        Long / middle axis and middle / short axis of a nucleus.
    alignment : Range
        0 = any direction, 1 = all short axes along the normal of the arrangement.
    deformation : Range
        Relative amplitude of the smooth random deformation.
    bean_share, dumbbell_share, mitotic_share : Range
        Shares of bent nuclei, of constricted nuclei and of condensed bright ones.
    texture, speckle : Range
        Relative amplitude of coarse and of fine chromatin texture.
    nucleolus_probability : float
        Volumes whose nuclei have dark holes.
    rim_probability : float
        Volumes whose nuclei are brighter at the rim.
    cleft : Range
        Signal left in the gap between two touching nuclei (1 = no gap).
    brightness_spread : Range
        Standard deviation of the logarithm of the nuclei's brightness.
    psf_xy, psf_z : Range
        Standard deviation of the point spread function: across in xy voxels, and along z in units of psf_xy.
    depth_loss : Range
        Share of the light lost between the first and the last plane.
    background, haze, structure : Range
        Level of the uneven background (log), of out-of-focus light, and of autofluorescent sheets and lumps.
    debris : Range
        Specks per nucleus.
    photons : Range
        Photons per voxel from a nucleus of brightness 1; log.
    smoothed_probability : float
        Volumes that were filtered or interpolated after the camera, so that the noise is correlated.
    eight_bit_probability : float
        Volumes stored as uint8, scaled and clipped, instead of uint16.
    """

    summary: str
    shape: Shape
    arrangements: tuple[str, ...]
    diameter: Range
    diameter_um: Range
    anisotropy: Range
    size_spread: Range
    fill: Range
    spacing: Range
    overlap: Range
    elongation: Range
    flatness: Range
    alignment: Range
    deformation: Range
    bean_share: Range
    dumbbell_share: Range
    mitotic_share: Range
    texture: Range
    speckle: Range
    nucleolus_probability: float
    rim_probability: float
    cleft: Range
    brightness_spread: Range
    psf_xy: Range
    psf_z: Range
    depth_loss: Range
    background: Range
    haze: Range
    structure: Range
    debris: Range
    photons: Range
    smoothed_probability: float
    eight_bit_probability: float


_PRESETS = {
    "embryo": Preset(
        summary="early embryo: few bright, partly condensed nuclei in a large dark volume, or a shell or clumps",
        shape=(64, 128, 128),
        arrangements=("volume", "clusters", "shell"),
        diameter=(12, 28),
        diameter_um=(8, 16),
        anisotropy=(1, 4),
        size_spread=(0.05, 0.25),
        fill=(0.01, 0.15),
        spacing=(0.95, 1.4),
        overlap=(0.02, 0.15),
        elongation=(1.0, 1.5),
        flatness=(1.0, 1.3),
        alignment=(0, 0.5),
        deformation=(0.0, 0.3),
        bean_share=(0, 0.2),
        dumbbell_share=(0, 0.1),
        mitotic_share=(0, 0.4),
        texture=(0.05, 0.45),
        speckle=(0, 0.4),
        nucleolus_probability=0.3,
        rim_probability=0.2,
        cleft=(0.4, 1),
        brightness_spread=(0.1, 0.6),
        psf_xy=(0.6, 1.8),
        psf_z=(1, 3.5),
        depth_loss=(0, 0.8),
        background=(0.005, 0.25),
        haze=(0, 0.3),
        structure=(0, 0.1),
        debris=(0, 1),
        photons=(6, 300),
        smoothed_probability=0.3,
        eight_bit_probability=0.3,
    ),
    "monolayer": Preset(
        summary="cultured cells in one or two wavy layers: large, flattened, strongly textured nuclei, often touching",
        shape=(48, 160, 160),
        arrangements=("layer",),
        diameter=(22, 45),
        diameter_um=(9, 16),
        anisotropy=(1, 4),
        size_spread=(0.08, 0.25),
        fill=(0.3, 0.85),
        spacing=(0.92, 1.15),
        overlap=(0.05, 0.2),
        elongation=(1.0, 1.6),
        flatness=(1.2, 2.3),
        alignment=(0.8, 1),
        deformation=(0.05, 0.4),
        bean_share=(0, 0.3),
        dumbbell_share=(0, 0.06),
        mitotic_share=(0, 0.12),
        texture=(0.15, 0.6),
        speckle=(0, 0.35),
        nucleolus_probability=0.7,
        rim_probability=0.35,
        cleft=(0.3, 1),
        brightness_spread=(0.1, 0.5),
        psf_xy=(0.6, 1.8),
        psf_z=(1.2, 3),
        depth_loss=(0, 0.4),
        background=(0.01, 0.3),
        haze=(0.02, 0.4),
        structure=(0, 0.15),
        debris=(0, 1.5),
        photons=(15, 500),
        smoothed_probability=0.25,
        eight_bit_probability=0.3,
    ),
    "tissue": Preset(
        summary="dense tissue, organoid or larva: crowded nuclei of mixed size, shape and brightness, deep planes dim",
        shape=(64, 128, 128),
        arrangements=("volume", "volume", "clusters", "files"),
        diameter=(12, 26),
        diameter_um=(4, 9),
        anisotropy=(1, 5),
        size_spread=(0.06, 0.28),
        fill=(0.2, 0.75),
        spacing=(0.88, 1.1),
        overlap=(0.05, 0.25),
        elongation=(1.0, 2.0),
        flatness=(1.0, 1.6),
        alignment=(0, 0.9),
        deformation=(0.05, 0.4),
        bean_share=(0, 0.3),
        dumbbell_share=(0, 0.06),
        mitotic_share=(0, 0.08),
        texture=(0.05, 0.5),
        speckle=(0, 0.4),
        nucleolus_probability=0.4,
        rim_probability=0.25,
        cleft=(0.25, 1),
        brightness_spread=(0.15, 0.6),
        psf_xy=(0.6, 2.0),
        psf_z=(1.2, 3.5),
        depth_loss=(0, 0.75),
        background=(0.02, 0.6),
        haze=(0.05, 0.6),
        structure=(0, 0.25),
        debris=(0, 0.5),
        photons=(8, 300),
        smoothed_probability=0.35,
        eight_bit_probability=0.4,
    ),
    "plant": Preset(
        summary="plant root or ovule: nuclei in files of cells with a dark nucleolus, some flat and small, walls glow",
        shape=(64, 128, 128),
        arrangements=("files", "files", "volume"),
        diameter=(12, 32),
        diameter_um=(4, 8),
        anisotropy=(1, 3),
        size_spread=(0.06, 0.28),
        fill=(0.05, 0.4),
        spacing=(0.97, 1.5),
        overlap=(0.0, 0.12),
        elongation=(1.0, 2.0),
        flatness=(1.0, 1.6),
        alignment=(0, 0.8),
        deformation=(0.0, 0.3),
        bean_share=(0, 0.2),
        dumbbell_share=(0, 0.05),
        mitotic_share=(0, 0.08),
        texture=(0.05, 0.4),
        speckle=(0, 0.4),
        nucleolus_probability=0.75,
        rim_probability=0.3,
        cleft=(0.3, 1),
        brightness_spread=(0.15, 0.6),
        psf_xy=(0.7, 2.2),
        psf_z=(1, 3.2),
        depth_loss=(0, 0.8),
        background=(0.01, 0.5),
        haze=(0, 0.5),
        structure=(0, 0.4),
        debris=(0, 0.6),
        photons=(4, 150),
        smoothed_probability=0.35,
        eight_bit_probability=0.6,
    ),
    "dim": Preset(
        summary="faint and noisy: few photons, blurred borders, bright and dark nuclei side by side, background close",
        shape=(64, 128, 128),
        arrangements=("volume", "clusters", "files", "shell"),
        diameter=(12, 34),
        diameter_um=(4, 10),
        anisotropy=(1, 4),
        size_spread=(0.06, 0.28),
        fill=(0.05, 0.45),
        spacing=(0.93, 1.3),
        overlap=(0.0, 0.2),
        elongation=(1.0, 1.9),
        flatness=(1.0, 1.6),
        alignment=(0, 0.8),
        deformation=(0.0, 0.35),
        bean_share=(0, 0.2),
        dumbbell_share=(0, 0.05),
        mitotic_share=(0, 0.08),
        texture=(0.05, 0.45),
        speckle=(0, 0.5),
        nucleolus_probability=0.4,
        rim_probability=0.25,
        cleft=(0.3, 1),
        brightness_spread=(0.2, 0.6),
        psf_xy=(1.0, 2.8),
        psf_z=(1, 3),
        depth_loss=(0.1, 0.75),
        background=(0.03, 0.8),
        haze=(0.05, 0.5),
        structure=(0, 0.4),
        debris=(0, 0.6),
        photons=(3, 16),
        smoothed_probability=0.35,
        eight_bit_probability=0.7,
    ),
}


def presets() -> dict[str, Preset]:
    """All presets by name.

    Examples
    --------
    >>> sorted(presets())
    ['dim', 'embryo', 'monolayer', 'plant', 'tissue']
    """
    return dict(_PRESETS)


def get_preset(name: str) -> Preset:
    """The preset of that name.

    Raises
    ------
    NucsegError
        No preset has this name; the message names the choices.
    """
    if name not in _PRESETS:
        choices = ", ".join(_PRESETS)
        raise NucsegError(f"There is no simulation preset '{name}'", f"one of: {choices}", USAGE)
    return _PRESETS[name]
