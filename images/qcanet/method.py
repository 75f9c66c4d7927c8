"""QCANet: one 3D U-Net for the nuclei, one for their centres, and a watershed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nucseg.dense.params import DenseParams
from nucseg.method import Segmenter
from nucseg.params import parameter
from nucseg.training.job import TrainingJob
from nucseg.training.params import TrainParams


@dataclass(frozen=True)
class QCANetTrainParams(TrainParams):
    """What a QCANet training run can be told."""

    nsn_base: int = parameter(16, "NSN filters", "First filters of the network that finds nuclei.", minimum=1)
    ndn_base: int = parameter(12, "NDN filters", "First filters of the network that finds centres.", minimum=1)


class QCANetMethod:
    """The method."""

    name = "qcanet"
    title = "QCANet"
    description = (
        "Segments nuclei in 3D fluorescence volumes, made for early embryos: one 3D U-Net finds the nuclei, a second "
        "one their centres, and a watershed from the centres divides nuclei that touch. Reads the weights that the "
        "original program published."
    )
    citation = (
        "Tokuoka et al., 3D convolutional neural networks-based segmentation to acquire quantitative criteria of the "
        "nucleus during mouse embryogenesis, npj Systems Biology and Applications 2020, doi:10.1038/s41540-020-00152-8"
    )
    params = DenseParams
    train_params = QCANetTrainParams

    def load(self, model: Path, params: DenseParams, device: str) -> Segmenter:
        """Load one of our model folders, or one with the weights that upstream published."""
        from images.qcanet.design import DESIGN
        from nucseg.dense.segmenter import DenseSegmenter

        return DenseSegmenter.load(DESIGN, model, params, device)

    def train(self, job: TrainingJob) -> None:
        """Train on the job's pairs and write a model folder."""
        from images.qcanet.design import DESIGN
        from nucseg.dense.training import train

        train(DESIGN, job, {"nsn_base": job.params.nsn_base, "ndn_base": job.params.ndn_base})


METHOD: Any = QCANetMethod()
