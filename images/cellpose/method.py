"""Cellpose 3: flows towards the centres of nuclei, predicted plane by plane."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nucseg.method import Resources, Segmenter
from nucseg.params import parameter
from nucseg.plane_params import PlaneParams
from nucseg.training.params import TrainParams

if TYPE_CHECKING:
    from nucseg.training.job import TrainingJob


@dataclass(frozen=True)
class CellposeParams(PlaneParams):
    """What a user can set."""

    model: str = parameter(
        "general",
        "Model",
        "A model in the image, or a folder with one; also one that holds a single model file of Cellpose 1 to 3.",
    )


@dataclass(frozen=True)
class CellposeTrainParams(TrainParams):
    """What a Cellpose training run can be told; patches are planes."""

    patches: int = parameter(8, "Planes per step", "Planes in a batch; a quarter of them new.", minimum=1)
    patch_size: int = parameter(128, "Patch size", "Edge of the square planes in pixels, a multiple of 8.", minimum=64)
    diameter: float = parameter(
        17.0, "Diameter", "Pixels across a nucleus in the planes; images are resampled to it.", minimum=6.0
    )
    filters: int = parameter(32, "Filters", "Channels of the network's first level; Cellpose has 32.", minimum=4)


class Cellpose:
    """The method."""

    name = "cellpose"
    title = "Cellpose 3"
    description = (
        "Segments nuclei in 3D fluorescence volumes with Cellpose 3: a 2D network predicts flows towards the centres "
        "of nuclei on all YX, ZY and ZX planes; their sum leads every voxel to its nucleus. Reads model files that "
        "Cellpose 1 to 3 wrote."
    )
    citation = (
        "Stringer et al., Cellpose: a generalist algorithm for cellular segmentation, Nature Methods 2021, "
        "doi:10.1038/s41592-020-01018-x; Stringer and Pachitariu, Cellpose3: one-click image restoration for improved "
        "cellular segmentation, Nature Methods 2025, doi:10.1038/s41592-025-02595-5"
    )
    params = CellposeParams
    train_params = CellposeTrainParams
    resources = Resources(memory_gb=32, minutes=60)

    def load(self, model: Path, params: CellposeParams, device: str) -> Segmenter:
        """Load one of our model folders, or a model file of Cellpose."""
        from images.cellpose.segmenter import CellposeSegmenter

        return CellposeSegmenter.load(model, params, device)

    def train(self, job: "TrainingJob") -> None:
        """Train on planes of the job's pairs and write a model folder."""
        from images.cellpose.training import train

        train(job)


METHOD: Any = Cellpose()
