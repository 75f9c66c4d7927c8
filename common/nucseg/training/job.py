"""What a training run is given: pairs to learn from, pairs to check it by, and where the model goes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nucseg.errors import USAGE, NucsegError
from nucseg.method import Report
from nucseg.training.pairs import Pair, declared_input

KEPT = 10
"""Without volumes to validate on, every tenth pair is kept back for it."""


@dataclass(frozen=True)
class TrainingJob:
    """A run of ``train``.

    Attributes
    ----------
    pairs : sequence of Pair
        To learn from.
    validation : sequence of Pair
        Whole volumes that choose the best weights and the thresholds; the network doesn't learn from them.
    folder : pathlib.Path
        Gets the model; a checkpoint in it is gone on from.
    params : TrainParams
        The method's own.
    device : str
        ``cpu`` or ``cuda``.
    report : Report
    start : pathlib.Path, optional
        Model folder to start from.
    """

    pairs: Sequence[Pair]
    validation: Sequence[Pair]
    folder: Path
    params: Any
    device: str
    report: Report
    start: Path | None = None

    def describe(self, method: str, config: dict[str, Any]) -> dict[str, Any]:
        """The part of ``model.json`` that every method's training writes alike."""
        return {
            "name": self.folder.name,
            "method": method,
            "config": config,
            "input": declared_input(self.params.diameter),
            "training": {
                **asdict(self.params),
                "pairs": [pair.name for pair in self.pairs],
                "validation": [pair.name for pair in self.validation],
            },
            "licence": "BSD-3-Clause",
        }


def going_on(job: TrainingJob, network: Mapping[str, Any], info: Mapping[str, Any]) -> TrainingJob:
    """The job with the parameters that the model to start from has, which are what is recorded.

    The diameter that the model was trained at is taken too, unless another one is asked for.

    Parameters
    ----------
    job : TrainingJob
    network : mapping
        What the parameters that describe a network are in this one; None for one that it doesn't know.
    info : mapping
        Contents of the model's ``model.json``, or the same made from a converted folder.

    Raises
    ------
    NucsegError
        `USAGE`, when another network was asked for.
    """
    defaults = type(job.params)()
    for name, has in network.items():
        asked = getattr(job.params, name)
        if asked not in (has, getattr(defaults, name)):
            raise NucsegError(
                f"--{name} {asked}: the model to start from has {'no such number' if has is None else has}",
                f"leave --{name} out, or train from the beginning, without --from",
                USAGE,
            )
    known = {name: has for name, has in network.items() if has is not None}
    trained_at = info.get("input", {}).get("nucleus_diameter_voxels")
    if trained_at and job.params.diameter == defaults.diameter:
        known["diameter"] = float(trained_at)
    return replace(job, params=replace(job.params, **known))


def split(pairs: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Pairs to learn from and, where there are two or more, one in `KEPT` to validate on.

    With a single pair, both are that pair.
    """
    kept = list(pairs[::KEPT])
    return [pair for number, pair in enumerate(pairs) if number % KEPT] or kept, kept
