"""3D U-Net: nuclei and their boundaries for every voxel, then a watershed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nucseg.dense.params import DenseParams
from nucseg.method import Segmenter
from nucseg.params import parameter
from nucseg.training.job import TrainingJob
from nucseg.training.params import TrainParams


@dataclass(frozen=True)
class UNet3DTrainParams(TrainParams):
    """What a 3D U-Net training run can be told."""

    f_maps: int = parameter(
        16, "Feature maps", "Channels of the first level; twice as many in each further one.", minimum=4
    )
    num_levels: int = parameter(4, "Levels", "Levels of the U-Net, the full resolution included.", minimum=2, maximum=6)


class UNet3DMethod:
    """The method."""

    name = "unet3d"
    title = "3D U-Net"
    description = (
        "Segments nuclei in 3D fluorescence volumes with a 3D U-Net that predicts, for every voxel, the probability of "
        "a nucleus and of a border between nuclei; a watershed from the nuclei's cores divides those that touch. "
        "Reads models that the pytorch-3dunet package wrote."
    )
    citation = (
        "Wolny et al., Accurate and versatile 3D segmentation of plant tissues at cellular resolution, eLife 2020, "
        "doi:10.7554/eLife.57613; Çiçek et al., 3D U-Net, MICCAI 2016, doi:10.1007/978-3-319-46723-8_49"
    )
    params = DenseParams
    train_params = UNet3DTrainParams

    def load(self, model: Path, params: DenseParams, device: str) -> Segmenter:
        """Load one of our model folders, or a checkpoint that pytorch-3dunet wrote."""
        from images.unet3d.design import DESIGN
        from nucseg.dense.segmenter import DenseSegmenter

        return DenseSegmenter.load(DESIGN, model, params, device)

    def train(self, job: TrainingJob) -> None:
        """Train on the job's pairs and write a model folder."""
        from images.unet3d.design import DESIGN
        from nucseg.dense.training import train

        config = {"in_channels": 1, "out_channels": 2, "f_maps": job.params.f_maps, "num_levels": job.params.num_levels}
        train(DESIGN, job, config)


METHOD: Any = UNet3DMethod()
