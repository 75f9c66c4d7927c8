"""The thresholds of a trained model: those with the best F1 on labelled volumes."""

from collections.abc import Sequence

import numpy as np

from images.stardist3d.prediction import predict_candidates, render
from images.stardist3d.segmenter import StarDistSegmenter
from images.stardist3d.suppression import suppress
from nucseg.tiling import plan_tiles
from nucseg.training.pairs import Pair
from nucseg.training.teach import best_choice, tuning_score

PROB = (0.3, 0.4, 0.5, 0.6, 0.7)
NMS = (0.3, 0.4, 0.5, 0.2, 0.1)
"""Upstream tunes among the first three; of equally good ones, the first counts."""


def tune_thresholds(segmenter: StarDistSegmenter, pairs: Sequence[Pair]) -> dict[str, float]:
    """Thresholds of probability and overlap with the best mean F1 over the pairs (`tuning_score`).

    Parameters
    ----------
    segmenter : StarDistSegmenter
        Its own thresholds count where none can be tuned.
    pairs : sequence of Pair
        Volumes that the network was not trained on. One that can't be segmented doesn't count.

    Returns
    -------
    dict
        "prob" and "nms".
    """
    best = best_choice(pairs, lambda pair: _f1(segmenter, pair).ravel())
    if best is None:
        return dict(segmenter.info["thresholds"])
    return {"prob": PROB[best // len(NMS)], "nms": NMS[best % len(NMS)]}


def _f1(segmenter: StarDistSegmenter, pair: Pair) -> np.ndarray:
    """`tuning_score` on one volume for each of `PROB` and `NMS`, at the network's scale."""
    config, wanted = segmenter.config, segmenter.info["input"]["nucleus_diameter_voxels"]
    view = pair.view(wanted)
    tiles = plan_tiles(view.shape, segmenter.tile(view.shape), config.receptive_field, config.divisor)
    candidates = predict_candidates(segmenter.network, view, config, PROB[0], tiles)
    scores = np.zeros((len(PROB), len(NMS)))
    for j, nms in enumerate(NMS):
        order = suppress(candidates.points, candidates.dist, candidates.prob, config.rays(), nms)
        nuclei = candidates[order]
        # A less probable candidate never suppresses a more probable one, so this equals a run at `prob`.
        for i, prob in enumerate(PROB):
            labels = render(nuclei[nuclei.prob > prob], view, config).labels
            scores[i, j] = tuning_score(pair, labels)
    return scores
