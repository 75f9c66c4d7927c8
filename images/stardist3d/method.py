"""StarDist 3D: every nucleus as a star-convex polyhedron."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nucseg.method import Resources, Segmenter
from nucseg.params import CommonParams, parameter
from nucseg.training.params import TrainParams

if TYPE_CHECKING:
    from nucseg.training.job import TrainingJob


@dataclass(frozen=True)
class StarDistParams(CommonParams):
    """What a user can set."""

    model: str = parameter(
        "general",
        "Model",
        "A model in the image, or a folder with one; also a folder as the stardist package writes it.",
    )
    prob_thresh: float = parameter(
        0.0,
        "Probability threshold",
        "Least probability of a nucleus; 0 takes the model's own.",
        minimum=0.0,
        maximum=1.0,
    )
    nms_thresh: float = parameter(
        0.0,
        "Overlap threshold",
        "Overlap of two candidates from which the less probable is dropped; 0 takes the model's own.",
        minimum=0.0,
        maximum=1.0,
    )
    max_candidates: int = parameter(
        0,
        "Most candidates",
        "Candidates from which on the model is taken for unsuitable to the image; 0 goes by the size of the volume.",
        minimum=0,
    )


@dataclass(frozen=True)
class StarDistTrainParams(TrainParams):
    """What a StarDist 3D training run can be told."""

    n_rays: int = parameter(64, "Rays", "Directions in which the distance to the border is predicted.", minimum=8)
    filters: int = parameter(16, "Filters", "Filters of the U-Net's first level.", minimum=4)
    depth: int = parameter(2, "Depth", "Levels of the U-Net below the grid.", minimum=1, maximum=5)
    # Bent patches cost it flat nuclei, which it then cuts.
    elastic: float = parameter(
        0.0, "Elastic bending", "Share of the patches that are bent smoothly at random.", minimum=0.0, maximum=1.0
    )


class StarDist:
    """The method."""

    name = "stardist3d"
    title = "StarDist 3D"
    description = (
        "Segments nuclei in 3D fluorescence volumes as star-convex polyhedra: a network predicts, for every second "
        "voxel, the probability of a nucleus and the distance to its border along rays; non-maximum suppression keeps "
        "the best candidates. Reads models that the stardist package wrote."
    )
    citation = (
        "Weigert et al., Star-convex Polyhedra for 3D Object Detection and Segmentation in Microscopy, WACV 2020, "
        "doi:10.1109/WACV45572.2020.9093435"
    )
    params = StarDistParams
    train_params = StarDistTrainParams
    resources = Resources(minutes=20)

    def load(self, model: Path, params: StarDistParams, device: str) -> Segmenter:
        """Load one of our model folders, or one that the stardist package wrote."""
        from images.stardist3d.segmenter import StarDistSegmenter

        return StarDistSegmenter.load(model, params, device)

    def train(self, job: "TrainingJob") -> None:
        """Train on the job's pairs and write a model folder."""
        from images.stardist3d.training import train

        train(job)


METHOD: Any = StarDist()
