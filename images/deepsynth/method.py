"""DeepSynth: a small encoder-decoder for the mask of nuclei, then a watershed of the distance map."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nucseg.dense.params import DenseParams
from nucseg.method import Segmenter
from nucseg.params import parameter
from nucseg.training.job import TrainingJob
from nucseg.training.params import TrainParams


@dataclass(frozen=True)
class DeepSynthTrainParams(TrainParams):
    """What a DeepSynth training run can be told."""

    filters: int = parameter(8, "Filters", "Channels of the first level; each level doubles them.", minimum=2)


class DeepSynthMethod:
    """The method."""

    name = "deepsynth"
    title = "DeepSynth"
    description = (
        "Segments nuclei in 3D fluorescence volumes with a small 3D encoder-decoder (0.4 million parameters) that is "
        "trained on simulated volumes and predicts the mask of nuclei; a watershed of the distance map divides those "
        "that touch. The quickest method on a computer without a GPU."
    )
    citation = (
        "Dunn et al., DeepSynth: Three-dimensional nuclear segmentation of biological images using neural networks "
        "trained with synthetic data, Scientific Reports 2019, doi:10.1038/s41598-019-54244-5"
    )
    params = DenseParams
    train_params = DeepSynthTrainParams

    def load(self, model: Path, params: DenseParams, device: str) -> Segmenter:
        """Load one of our model folders."""
        from images.deepsynth.design import DESIGN
        from nucseg.dense.segmenter import DenseSegmenter

        return DenseSegmenter.load(DESIGN, model, params, device)

    def train(self, job: TrainingJob) -> None:
        """Train on the job's pairs and write a model folder."""
        from images.deepsynth.design import DESIGN
        from nucseg.dense.training import train

        train(DESIGN, job, {"filters": job.params.filters})


METHOD: Any = DeepSynthMethod()
