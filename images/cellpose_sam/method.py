"""Cellpose-SAM (Cellpose 4): Cellpose's flows from the image encoder of Segment Anything."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nucseg.errors import USAGE, NucsegError
from nucseg.method import Resources, Segmenter
from nucseg.params import parameter
from nucseg.plane_params import PlaneParams

WEIGHTS_URL = "https://huggingface.co/mouseland/cellpose-sam/resolve/main/cpsam_v2"

HINT = f"download {WEIGHTS_URL}, and run with -v $PWD/cpsam_v2:/model/cpsam_v2:ro ... --model /model"


@dataclass(frozen=True)
class CellposeSamParams(PlaneParams):
    """What a user can set."""

    model: str = parameter(
        "",
        "Model",
        "The weights, which don't come with the image (for non-commercial use, CC-BY-NC): the file cpsam_v2 from "
        f"{WEIGHTS_URL}, or a folder that holds it alone.",
    )


class CellposeSam:
    """The method."""

    name = "cellpose_sam"
    title = "Cellpose-SAM"
    description = (
        "Segments nuclei in 3D fluorescence volumes with Cellpose 4: a large vision transformer predicts flows towards "
        "the centres of nuclei on all YX, ZY and ZX planes; their sum leads every voxel to its nucleus. Slow without a "
        "GPU. The weights are for non-commercial use and are not part of the image."
    )
    citation = (
        "Pachitariu et al., Cellpose-SAM: superhuman generalization for cellular segmentation, bioRxiv 2025, "
        "doi:10.1101/2025.04.28.651001"
    )
    params = CellposeSamParams
    train_params = None
    resources = Resources(memory_gb=32, minutes=60, gpu=True)

    def load(self, model: Path, params: CellposeSamParams, device: str) -> Segmenter:
        """Load the published weights, or others of the same network."""
        if not params.model:
            cause = "Cellpose-SAM comes without weights, because they are for non-commercial use only (CC-BY-NC)"
            raise NucsegError(cause, HINT, USAGE)
        from images.cellpose_sam.segmenter import CellposeSamSegmenter

        return CellposeSamSegmenter.load(model, params, device)


METHOD: Any = CellposeSam()
