"""3D U-Net: nuclei and their boundaries for every voxel, then a watershed."""

from dataclasses import dataclass
from typing import Any

from nucseg.dense.method import DenseMethod
from nucseg.method import Resources
from nucseg.params import parameter
from nucseg.training.params import TrainParams


@dataclass(frozen=True)
class UNet3DTrainParams(TrainParams):
    """What a 3D U-Net training run can be told."""

    f_maps: int = parameter(
        16, "Feature maps", "Channels of the first level; twice as many in each further one.", minimum=4
    )
    num_levels: int = parameter(4, "Levels", "Levels of the U-Net, the full resolution included.", minimum=2, maximum=6)


METHOD: Any = DenseMethod(
    name="unet3d",
    title="3D U-Net",
    description=(
        "Segments nuclei in 3D fluorescence volumes with a 3D U-Net that predicts, for every voxel, the probability of "
        "a nucleus and of a border between nuclei; a watershed from the nuclei's cores divides those that touch. "
        "Reads models that the pytorch-3dunet package wrote."
    ),
    citation=(
        "Wolny et al., Accurate and versatile 3D segmentation of plant tissues at cellular resolution, eLife 2020, "
        "doi:10.7554/eLife.57613; Çiçek et al., 3D U-Net, MICCAI 2016, doi:10.1007/978-3-319-46723-8_49"
    ),
    train_params=UNet3DTrainParams,
    resources=Resources(minutes=10),
    config=lambda params: {
        "in_channels": 1,
        "out_channels": 2,
        "f_maps": params.f_maps,
        "num_levels": params.num_levels,
    },
)
