"""The thresholds of a trained model: those with the best F1 on labelled volumes."""

from collections.abc import Sequence

import numpy as np

from images.stardist3d.config import StarDistConfig
from images.stardist3d.prediction import Network, predict_polyhedra, render_labels
from nucseg.metrics.matching import match_table
from nucseg.metrics.overlap import overlap_table
from nucseg.scaling import View, zoom_to_diameter
from nucseg.training.pairs import Pair

PROB = (0.3, 0.4, 0.5, 0.6, 0.7)
NMS = (0.3, 0.4, 0.5)
IOU = (0.3, 0.5, 0.7)


def tune_thresholds(
    network: Network, config: StarDistConfig, pairs: Sequence[Pair], diameter: float
) -> dict[str, float]:
    """Thresholds of probability and overlap with the best mean F1 over the pairs and `IOU`.

    Parameters
    ----------
    network : callable
        As for `predict_polyhedra`.
    config : StarDistConfig
    pairs : sequence of Pair
        Volumes that the network was not trained on.
    diameter : float
        Voxels across a nucleus at which the network sees them; 0 takes the volumes as they are.

    Returns
    -------
    dict
        "prob" and "nms".
    """
    scores = np.zeros((len(PROB), len(NMS)))
    for pair in pairs:
        zoom = zoom_to_diameter(pair.volume, pair.diameter, diameter) if diameter else (1.0, 1.0, 1.0)
        view = View(pair.volume, zoom, pair.range)
        for j, nms in enumerate(NMS):
            nuclei = predict_polyhedra(network, view, config, {"prob": PROB[0], "nms": nms})
            # A less probable candidate never suppresses a more probable one, so this equals a run at `prob`.
            for i, prob in enumerate(PROB):
                labels = render_labels(nuclei[nuclei.prob > prob], view, config)
                matchings = match_table(overlap_table(pair.labels, labels), IOU)
                scores[i, j] += np.mean([matching.f1 for matching in matchings])
    best = np.unravel_index(scores.argmax(), scores.shape)
    return {"prob": PROB[best[0]], "nms": NMS[best[1]]}
