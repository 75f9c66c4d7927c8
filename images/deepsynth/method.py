"""DeepSynth: a small encoder-decoder for the mask of nuclei, then a watershed of the distance map."""

from dataclasses import dataclass
from typing import Any

from nucseg.dense.method import DenseMethod
from nucseg.method import Resources
from nucseg.params import parameter
from nucseg.training.params import TrainParams


@dataclass(frozen=True)
class DeepSynthTrainParams(TrainParams):
    """What a DeepSynth training run can be told."""

    filters: int = parameter(8, "Filters", "Channels of the first level; each level doubles them.", minimum=2)


METHOD: Any = DenseMethod(
    name="deepsynth",
    title="DeepSynth",
    description=(
        "Segments nuclei in 3D fluorescence volumes with a small 3D encoder-decoder (0.4 million parameters) that is "
        "trained on simulated volumes and predicts the mask of nuclei; a watershed of the distance map divides those "
        "that touch. The quickest method on a computer without a GPU."
    ),
    citation=(
        "Dunn et al., DeepSynth: Three-dimensional nuclear segmentation of biological images using neural networks "
        "trained with synthetic data, Scientific Reports 2019, doi:10.1038/s41598-019-54244-5"
    ),
    train_params=DeepSynthTrainParams,
    resources=Resources(minutes=10),
    config=lambda params: {"filters": params.filters},
)
