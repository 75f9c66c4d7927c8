"""A loaded Cellpose-SAM model: upstream's code makes the labels, on a network that tells how far it is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from images.cellpose_sam.method import HINT, CellposeSamParams
from images.cellpose_sam.upstream import import_models
from nucseg.errors import USAGE, NucsegError
from nucseg.formats import content_sha256
from nucseg.models import read_checkpoint
from nucseg.planes import PlaneNetwork, PlaneSegmenter, only_file
from nucseg.runtime import gains_by_16_bits

DIAMETER = 30.0
"""Pixels across a nucleus that upstream resamples to when it is told a diameter."""

BATCH = {"cpu": 1, "cuda": 8}
"""Tiles at once: on a CPU more of them gain nothing."""


@dataclass(frozen=True)
class CellposeSamSegmenter(PlaneSegmenter):
    """Upstream's model with its network, and what is known of its weights."""

    tile = 256
    batch: int

    @classmethod
    def load(cls, path: Path, params: CellposeSamParams, device: str) -> "CellposeSamSegmenter":
        """Read a file of weights, or the only file of a folder."""
        file = only_file(path, HINT)
        check_weights(file)
        models = import_models()
        # Upstream takes a path that doesn't exist for a model to download; this one does exist.
        try:
            upstream = models.CellposeModel(
                pretrained_model=str(file),
                device=torch.device(device),
                use_bfloat16=not params.exact and gains_by_16_bits(device),
            )
        except RuntimeError as error:
            if "state_dict" not in str(error):
                raise
            raise NucsegError(f"{file} holds a network of another size", HINT, USAGE) from None
        if device == "cuda":
            # Upstream's import turns it on for products, torch itself for convolutions.
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = not params.exact
        module = upstream.net.eval().requires_grad_(False)
        network = PlaneNetwork(lambda x: module(x)[0], module.nout, torch.device(device), module.dtype)
        upstream.net = network
        info = {
            "name": file.name,
            "method": "cellpose_sam",
            "config": {"backbone": upstream.backbone},
            "input": {"nucleus_diameter_voxels": DIAMETER},
            "licence": "CC-BY-NC-4.0 if it is upstream's",
            "sha256": content_sha256(file),
        }
        return cls(upstream, network, info, BATCH[device])

    def arguments(self, data: np.ndarray, limits: tuple[float, float] | None) -> dict[str, Any]:
        """See `PlaneSegmenter`."""
        return {
            # A copy, because upstream normalises an array of float32 in its place.
            "x": np.array(data, np.float32)[..., None],
            "channel_axis": 3,
            "batch_size": self.batch,
            "normalize": {"normalize": True, "lowhigh": limits},
        }

    def padded(self, length: int) -> int:
        """See `PlaneSegmenter`."""
        from cellpose.transforms import get_pad_yx

        before, after, _, _ = get_pad_yx(length, length, min_size=(self.tile, self.tile))
        return length + before + after

    def section(self, plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Labels and logits of a normalised plane at the model's own scale."""
        # A mapping, because upstream keeps a plain Boolean as the default of all later calls.
        labels, flows, _ = self.upstream.eval(plane, batch_size=self.batch, normalize={"normalize": False})
        return labels.reshape(plane.shape), flows[2].reshape(plane.shape)


def check_weights(file: Path) -> None:
    """Make sure that a file holds a network of Cellpose-SAM.

    Raises
    ------
    NucsegError
        `USAGE`: it doesn't.
    """
    state = read_checkpoint(file, HINT, mmap=True)
    names = set(state) if isinstance(state, dict) else set()
    if "encoder.cls_token" in names:
        cause = f"{file} is a network on DINOv3, whose code is not in this image"
    elif "output.2.weight" in names:
        cause = f"{file} is a model of Cellpose 1 to 3, which the method cellpose reads"
    # Upstream would keep random weights in the place of missing ones.
    elif (
        not {"W2", "out.weight", "encoder.pos_embed", "encoder.neck.0.weight", "encoder.blocks.23.norm1.weight"}
        <= names
    ):
        cause = f"{file} holds no network of Cellpose-SAM"
    else:
        return
    raise NucsegError(cause, HINT, USAGE)
