"""Training of a dense method: its design on the library's loop."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch

from nucseg.dense.design import DenseModule, Design
from nucseg.dense.params import DenseParams
from nucseg.dense.segmenter import DenseSegmenter, build, load_any
from nucseg.training.job import TrainingJob, going_on
from nucseg.training.pairs import Pair, declared_input
from nucseg.training.samples import Sample
from nucseg.training.teach import MakeTargets, State, best_choice, teach, tuning_score
from nucseg.volume import Shape


@dataclass
class DenseLearner:
    """A `nucseg.training.teach.Learner` made of a design."""

    design: Design
    config: dict[str, Any]
    module: torch.nn.Module
    patch_shape: Shape
    diameter: float
    device: str

    @property
    def method(self) -> str:
        """The design's."""
        return self.design.method

    @property
    def divisor(self) -> Shape:
        """The module's."""
        return cast("DenseModule", self.module).divisor

    @property
    def make_targets(self) -> MakeTargets:
        """The image patch with the design's targets."""
        return partial(_sample, self.design.targets)

    def loss(self, output: Any, targets: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        """The design's."""
        return self.design.loss(output, targets)

    def segmenter(self, state: State) -> tuple[DenseSegmenter, DenseParams]:
        """With the middle of the thresholds that are tuned."""
        info = {
            "input": declared_input(self.diameter),
            "thresholds": {name: values[len(values) // 2] for name, values in self.design.choices.items()},
        }
        module = build(self.design, self.config, {key: value.numpy() for key, value in state.items()})
        return DenseSegmenter.of(self.design, module, info, self.device), DenseParams()

    def tune(self, state: State, pairs: Sequence[Pair]) -> dict[str, float]:
        """The thresholds with the best mean F1 over the pairs (`tuning_score`), at the network's scale."""
        choices = [
            dict(zip(self.design.choices, c, strict=True)) for c in itertools.product(*self.design.choices.values())
        ]
        segmenter, _ = self.segmenter(state)

        def score(pair: Pair) -> np.ndarray:
            view = pair.view(self.diameter)
            maps = segmenter.maps(view)
            scores = []
            for thresholds in choices:
                labels = segmenter.labels(maps, thresholds, segmenter.least_voxels)
                labels = view.labels_to_source(labels, maps[0], thresholds["foreground"])
                scores.append(tuning_score(pair, labels))
            return np.array(scores)

        best = best_choice(pairs, score)
        return choices[best] if best is not None else dict(segmenter.info["thresholds"])


def _sample(targets: Any, image: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> Sample:
    return image[None], *targets(labels)


def train(design: Design, job: TrainingJob, config: dict[str, Any]) -> None:
    """Train a network of this configuration, or go on from the job's model, whose configuration then counts."""
    torch.manual_seed(job.params.seed)
    if job.start:
        state, info = load_any(design, job.start)
        config = info["config"]
        described = {name: config[name] for name in config if hasattr(job.params, name)}
        job = going_on(job, {name: value for name, value in described.items() if isinstance(value, int)}, info)
        module = build(design, config, state)
    else:
        module = design.build(config)
    size = job.params.patch_size
    teach(job, DenseLearner(design, config, module, (size, size, size), job.params.diameter, job.device))
