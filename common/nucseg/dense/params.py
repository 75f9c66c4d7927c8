"""The parameters that these methods share. Kept apart from what needs torch."""

from dataclasses import dataclass

from nucseg.params import CommonParams, parameter


@dataclass(frozen=True)
class DenseParams(CommonParams):
    """What a user can set."""

    model: str = parameter(
        "general",
        "Model",
        "A model in the image, or a folder with one; also one in the format of the original program.",
    )
    foreground_thresh: float = parameter(
        0.0,
        "Nucleus threshold",
        "Least probability that a voxel belongs to a nucleus; 0 takes the model's own.",
        minimum=0.0,
        maximum=1.0,
    )
    seed_thresh: float = parameter(
        0.0,
        "Seed threshold",
        "Divides nuclei that touch: how sure a core must be, or the least distance of two centres in diameters (the "
        "method's card says which); 0 takes the model's own.",
        minimum=0.0,
        maximum=1.0,
    )
    min_volume: float = parameter(
        0.0,
        "Smallest nucleus (µm³)",
        "Smaller objects are dropped, in µm³ (in voxels when the voxel size is unknown); 0: a tenth of the typical "
        "nucleus.",
        minimum=0.0,
    )
