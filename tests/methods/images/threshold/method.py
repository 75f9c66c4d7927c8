"""The method that the tests run: blur, Otsu's threshold, connected components. Small, and really segments."""

import time
from dataclasses import dataclass
from pathlib import Path

from nucseg.errors import USAGE, NucsegError
from nucseg.method import Resources
from nucseg.params import CommonParams, parameter
from nucseg.training.params import TrainParams


@dataclass(frozen=True)
class Params(CommonParams):
    model: str = parameter("general", "Model", "Name of a shipped model, or a folder that holds one.")
    sigma: float = parameter(0.0, "Sigma", "Blur in voxels; 0 takes the model's.", minimum=0.0, maximum=10.0)
    min_voxels: int = parameter(1, "Smallest nucleus", "In voxels.", minimum=1)
    connectivity: str = parameter("face", "Connectivity", "What counts as connected.", choices=("face", "corner"))
    # Ways to fail that real methods have.
    fault: str = parameter("none", "Fault", "For tests.", choices=("none", "crash", "memory", "shape", "float", "slow"))


@dataclass(frozen=True)
class ThresholdTrainParams(TrainParams):
    largest: float = parameter(4.0, "Largest sigma", "Sigmas from 1 up to this are tried.", minimum=1.0)


class ThresholdSegmenter:
    def __init__(self, info, sigma):
        self.info, self.sigma = info, sigma

    def segment(self, volume, params, progress):
        import numpy as np
        from scipy import ndimage
        from skimage.filters import threshold_otsu

        if params.fault in ("shape", "float"):
            return np.zeros((1, 1, 1), int) if params.fault == "shape" else np.zeros(volume.shape, np.float32)
        self._fault(params.fault, volume.source.name, progress)
        progress(0.5, "blur")
        blurred = ndimage.gaussian_filter(volume.data.astype(np.float32), params.sigma or self.sigma)
        structure = ndimage.generate_binary_structure(3, 1 if params.connectivity == "face" else 3)
        labels, _ = ndimage.label(blurred > threshold_otsu(blurred), structure)
        small = np.bincount(labels.ravel()) < params.min_voxels
        labels[small[labels]] = 0
        return labels

    @staticmethod
    def _fault(fault, name, progress):
        if fault == "crash" and "crash" in name:
            raise ValueError("a bug")
        if fault == "memory":
            raise MemoryError
        if fault == "slow" and "slow" in name:
            for step in range(600):
                progress(step / 600, "waiting")
                time.sleep(0.1)


class ThresholdMethod:
    name = "threshold"
    title = "Threshold"
    description = "Blur, Otsu's threshold and connected components."
    citation = "Otsu 1979, doi:10.1109/TSMC.1979.4310076"
    params = Params
    train_params = ThresholdTrainParams
    resources = Resources(cores=1, memory_gb=1, minutes=2)

    def load(self, model: Path, params, device):
        from nucseg.models import load_weights, read_model

        if (model / "foreign.txt").exists():
            raise NucsegError("a foreign model", "another one", USAGE)
        found = read_model(model, self.name)
        return ThresholdSegmenter(found.info, float(load_weights(found)["sigma"]))

    def train(self, job):
        import numpy as np

        from nucseg.metrics.matching import match
        from nucseg.models import write_model

        scores = {}
        for sigma in np.arange(1, job.params.largest + 0.5):
            job.report(sigma / job.params.largest, f"sigma {sigma}")
            segmenter = ThresholdSegmenter({}, sigma)
            labels = [segmenter.segment(pair.volume, Params(), job.report) for pair in job.pairs]
            found = [match(pair.labels, label)[0].f1 for pair, label in zip(job.pairs, labels, strict=True)]
            scores[float(sigma)] = sum(found) / len(found)
        best = max(scores, key=lambda sigma: scores[sigma])
        info = {"name": job.folder.name, "method": self.name, "config": {}, "accuracy": scores[best]}
        write_model(job.folder, info, {"sigma": np.float32(best)})


METHOD = ThresholdMethod()
