"""The `Method` that a design makes: what its ``method.py`` declares, and the library's loading and training."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nucseg.dense.params import DenseParams
from nucseg.method import Resources, Segmenter

if TYPE_CHECKING:
    from nucseg.dense.design import Design
    from nucseg.training.job import TrainingJob


@dataclass(frozen=True)
class DenseMethod:
    """A method with a `DESIGN` in ``images/<name>/design.py``, which is imported when it is needed.

    Attributes
    ----------
    name, title, description, citation, train_params, resources, params
        As for `nucseg.method.Method`.
    config : callable
        From training parameters to what builds the network.
    """

    name: str
    title: str
    description: str
    citation: str
    train_params: type[Any]
    config: Callable[[Any], dict[str, Any]]
    resources: Resources
    params: type[DenseParams] = DenseParams

    def load(self, model: Path, params: DenseParams, device: str) -> Segmenter:
        """Load one of our model folders, or a model in the upstream format."""
        from nucseg.dense.segmenter import DenseSegmenter

        return DenseSegmenter.load(self._design(), model, params, device)

    def train(self, job: "TrainingJob") -> None:
        """Train on the job's pairs and write a model folder."""
        from nucseg.dense.training import train

        train(self._design(), job, self.config(job.params))

    def _design(self) -> "Design":
        design: Design = import_module(f"images.{self.name}.design").DESIGN
        return design
