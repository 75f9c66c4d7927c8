"""A training run from pairs to a model folder: samples, the loop, validation on whole volumes, thresholds."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch

from nucseg.errors import USAGE, NucsegError
from nucseg.labels import checked
from nucseg.method import Segmenter
from nucseg.metrics.matching import match
from nucseg.models import write_model
from nucseg.params import CommonParams
from nucseg.progress import say
from nucseg.scaling import isotropic
from nucseg.training.job import TrainingJob
from nucseg.training.loop import fit
from nucseg.training.pairs import Pair
from nucseg.training.patches import PatchPlan, cut_patch
from nucseg.training.samples import Sample
from nucseg.volume import Shape

State = Mapping[str, torch.Tensor]
MakeTargets = Callable[[np.ndarray, np.ndarray, np.random.Generator], Sample]

TUNING_IOU = (0.3, 0.5, 0.7)
"""Thresholds are chosen by the mean F1 over these: nuclei found at all, found well, and outlined well."""


class Learner(Protocol):
    """What a method adds to a training run.

    Attributes
    ----------
    method : str
    config : dict
        What builds the network, for ``model.json``.
    module : torch.nn.Module
    patch_shape : tuple of int
        Of the patches, ZYX.
    divisor : tuple of int
        What the patches' axes must be multiples of, ZYX.
    make_targets : callable
        From image patch, label patch and random generator to a sample: the input (C, Z, Y, X) or
        (C, Y, X), then the targets, all float32. It is sent to other processes, so it is a
        function of a module, or a `functools.partial` of one.
    """

    @property
    def method(self) -> str:
        """See above."""
        ...

    @property
    def config(self) -> dict[str, Any]:
        """See above."""
        ...

    @property
    def module(self) -> torch.nn.Module:
        """See above."""
        ...

    @property
    def patch_shape(self) -> Shape:
        """See above."""
        ...

    @property
    def divisor(self) -> Shape:
        """See above."""
        ...

    @property
    def make_targets(self) -> MakeTargets:
        """See above."""
        ...

    def loss(self, output: Any, targets: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        """As for `nucseg.training.loop.fit`."""
        ...

    def segmenter(self, state: State) -> tuple[Segmenter, CommonParams]:
        """A segmenter with these weights, and the parameters to run it with."""
        ...

    def tune(self, state: State, pairs: Sequence[Pair]) -> dict[str, float]:
        """The thresholds with the best F1 on these pairs."""
        ...


@dataclass(frozen=True)
class SampleMaker:
    """Sample number i of a run: a pair drawn by the square root of its number of nuclei, a patch, its targets."""

    pairs: Sequence[Pair]
    plan: PatchPlan
    make_targets: MakeTargets
    seed: int

    def __call__(self, index: int) -> Sample:
        """The sample; a function of its number alone."""
        rng = np.random.default_rng([self.seed, index])
        counts = np.sqrt([len(pair.centres) for pair in self.pairs])
        pair = self.pairs[rng.choice(len(self.pairs), p=counts / counts.sum())]
        return self.make_targets(*cut_patch(pair, self.plan, rng), rng)


def teach(job: TrainingJob, learner: Learner) -> None:
    """Train, keep the weights with the best F1 on the validation volumes, tune the thresholds, write the model.

    Raises
    ------
    NucsegError
        `USAGE` when the network can't take patches of this shape, or the folder holds another training.
    """
    params = job.params
    _check_patches(learner)
    plan = PatchPlan(learner.patch_shape, params.diameter, params.zoom, params.zoom_z, params.elastic)
    make_sample = SampleMaker(job.pairs, plan, learner.make_targets, params.seed)
    validate = partial(_validate, learner, job.validation)
    info = job.describe(learner.method, learner.config)
    contents = {
        what: {pair.name: pair.fingerprint for pair in pairs}
        for what, pairs in (("pair", job.pairs), ("validation", job.validation))
    }
    settings = {"method": info["method"], **info["training"], "config": info["config"], "contents of": contents}
    weights = fit(
        learner.module, learner.loss, make_sample, params, settings, job.folder, job.device, job.report, validate
    )
    job.report(1.0, "tuning the thresholds")
    info["thresholds"] = learner.tune(weights, job.validation)
    write_model(job.folder, info, weights)


def mean_f1(segmenter: Segmenter, params: CommonParams, pairs: Sequence[Pair]) -> float:
    """Mean F1 at IoU 0.5 over whole volumes, each at the known scale of its nuclei; 0 where one can't be segmented."""
    scores = []
    for pair in pairs:
        known = replace(params, nucleus_diameter=pair.diameter * isotropic(pair.volume))
        try:
            found = segmenter.segment(pair.volume, known, lambda fraction, text: None)
        except NucsegError as error:
            # A network that has just begun to learn may see nuclei everywhere.
            say(f"warning: no F1 of {pair.volume.source.name}: {error.cause}")
            scores.append(0.0)
            continue
        scores.append(match(pair.labels, checked(found, pair.volume.shape).labels, (0.5,))[0].f1)
    return float(np.mean(scores))


def tuning_score(pair: Pair, labels: np.ndarray) -> float:
    """Mean F1 of a label image over `TUNING_IOU`."""
    return float(np.mean([found.f1 for found in match(pair.labels, labels, TUNING_IOU)]))


def best_choice(pairs: Sequence[Pair], score: Callable[[Pair], np.ndarray]) -> int | None:
    """The number of the choice with the best sum of scores.

    Parameters
    ----------
    pairs : sequence of Pair
    score : callable
        From a pair to the score (n,) of each choice. One that can't be segmented doesn't count.

    Returns
    -------
    int or None
        Of equally good ones, the first; None when nothing could be scored.
    """
    total: np.ndarray | None = None
    for pair in pairs:
        try:
            scores = score(pair)
        except NucsegError as error:
            say(f"warning: {pair.volume.source.name} doesn't count in the thresholds: {error.cause}")
            continue
        total = scores if total is None else total + scores
    return None if total is None else int(total.argmax())


def _check_patches(learner: Learner) -> None:
    if not any(n % step for n, step in zip(learner.patch_shape, learner.divisor, strict=True)):
        return
    size, step = max(learner.patch_shape), math.lcm(*learner.divisor)
    below = size // step * step
    near = " or ".join(str(n) for n in (below, below + step) if n)
    raise NucsegError(
        f"--patch_size {size}: this network takes patches whose edge is a multiple of {step}",
        f"--patch_size {near}",
        USAGE,
    )


def _validate(learner: Learner, pairs: Sequence[Pair], state: State) -> float:
    return mean_f1(*learner.segmenter(state), pairs)
