"""The parameters of methods that see a volume plane by plane. Kept apart from what needs torch."""

from dataclasses import dataclass

from nucseg.params import CommonParams, parameter


@dataclass(frozen=True)
class PlaneParams(CommonParams):
    """What a user can set; a method adds `model`."""

    cellprob_thresh: float = parameter(
        0.0,
        "Cell threshold",
        "Logit from which a voxel belongs to a nucleus, counted from the model's own; lower finds more and larger.",
    )
    min_size: int = parameter(
        0, "Smallest nucleus", "Objects of fewer voxels are dropped; 0: a tenth of the typical nucleus.", minimum=0
    )
    flow3d_smooth: float = parameter(
        0.0, "Smoothing of flows", "Standard deviation in voxels; helps against nuclei cut in pieces.", minimum=0.0
    )
    anisotropy: float = parameter(
        0.0, "Anisotropy", "Distance of planes per pixel width; 0 takes it from the voxel size.", minimum=0.0
    )
