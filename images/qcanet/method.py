"""QCANet: one 3D U-Net for the nuclei, one for their centres, and a watershed."""

from dataclasses import dataclass
from typing import Any

from nucseg.dense.method import DenseMethod
from nucseg.method import Resources
from nucseg.params import parameter
from nucseg.training.params import TrainParams


@dataclass(frozen=True)
class QCANetTrainParams(TrainParams):
    """What a QCANet training run can be told."""

    nsn_base: int = parameter(16, "NSN filters", "First filters of the network that finds nuclei.", minimum=1)
    ndn_base: int = parameter(12, "NDN filters", "First filters of the network that finds centres.", minimum=1)


METHOD: Any = DenseMethod(
    name="qcanet",
    title="QCANet",
    description=(
        "Segments nuclei in 3D fluorescence volumes, made for early embryos: one 3D U-Net finds the nuclei, a second "
        "one their centres, and a watershed from the centres divides nuclei that touch. Reads the weights that the "
        "original program published."
    ),
    citation=(
        "Tokuoka et al., 3D convolutional neural networks-based segmentation to acquire quantitative criteria of the "
        "nucleus during mouse embryogenesis, npj Systems Biology and Applications 2020, doi:10.1038/s41540-020-00152-8"
    ),
    train_params=QCANetTrainParams,
    resources=Resources(minutes=20),
    config=lambda params: {"nsn_base": params.nsn_base, "ndn_base": params.ndn_base},
)
