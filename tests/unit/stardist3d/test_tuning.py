"""Thresholds are tuned with no more memory than segmenting takes, and one bad volume doesn't end a training."""

from pathlib import Path

import numpy as np
import pytest

from images.stardist3d.config import StarDistConfig
from images.stardist3d.segmenter import StarDistSegmenter
from images.stardist3d.tuning import tune_thresholds
from nucseg.runtime import TILE_MEMORY
from nucseg.training.pairs import Pair
from nucseg.volume import Volume

CONFIG = StarDistConfig(n_rays=32, unet_n_depth=1, unet_n_filter_base=2, unet_n_conv_per_depth=1, net_conv_after=2)
RADIUS = 4
SURE, LIKELY = 0.65, 0.45
SHAPE = (16, 24, 96)


class Spots:
    """A network that sees a ball around each bright voxel, as probable as it is bright, and keeps what it was given."""

    def __init__(self, voxels: float) -> None:
        self.bytes_per_voxel = TILE_MEMORY / voxels
        self.seen: list[np.ndarray] = []

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        self.seen.append(x.copy())
        logits = np.log(np.clip(x, 1e-6, 1) / (1 - np.clip(x, 0, 0.99)))
        return np.where(x > 1, np.nan, logits), np.full((1, CONFIG.n_rays, *x.shape[2:]), RADIUS, np.float32)


def pair(**centres: float) -> Pair:
    """Balls at places along X; only those of probability `SURE` are nuclei."""
    data, labels = np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.int32)
    for name, probability in centres.items():
        centre = (8, 12, int(name[1:]))
        data[centre] = probability
        if probability == SURE:
            distance = np.linalg.norm(np.indices(SHAPE) - np.reshape(centre, (3, 1, 1, 1)), axis=0)
            labels[distance <= RADIUS] = labels.max() + 1
    return Pair(Volume(data, None, Path("a.tif")), labels, (0.0, 1.0), np.zeros((1, 3)), 2.0 * RADIUS)


def tune(network: Spots, *pairs: Pair) -> dict[str, float]:
    info = {"input": {"nucleus_diameter_voxels": 2.0 * RADIUS}, "thresholds": {"prob": 0.5, "nms": 0.4}}
    return tune_thresholds(StarDistSegmenter(network, CONFIG, info, "cpu"), pairs)


GOOD = {"x12": SURE, "x40": SURE, "x60": LIKELY, "x80": LIKELY}


def test_the_best_thresholds_are_found():
    # Those of 0.45 aren't nuclei, and at 0.7 nothing is left.
    assert tune(Spots(1e9), pair(**GOOD)) == {"prob": 0.5, "nms": 0.3}


def test_a_volume_is_seen_once_and_in_tiles():
    small, whole = Spots(voxels=12_000), Spots(voxels=1e9)
    assert tune(small, pair(**GOOD)) == tune(whole, pair(**GOOD))
    assert [x.shape[2:] for x in whole.seen] == [SHAPE]
    assert len(small.seen) > 2
    assert max(x.size for x in small.seen) <= 12_000
    parts = [x.tobytes() for x in small.seen]
    assert len(set(parts)) == len(parts)


@pytest.mark.parametrize(("volumes", "thresholds"), [(1, {"prob": 0.5, "nms": 0.3}), (0, {"prob": 0.5, "nms": 0.4})])
def test_a_volume_that_fails_scores_nothing(volumes, thresholds, capsys):
    damaged = pair(x12=SURE, x40=2.0)
    assert tune(Spots(1e9), *[pair(**GOOD)] * volumes, damaged) == thresholds
    assert "a.tif doesn't count in the thresholds: the network gave values" in capsys.readouterr().out
