"""Where everything of a launcher run lies under OUT. The only module that knows these names."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class MethodFolder:
    """``OUT/methods/<method>/``: what one method wrote, and what is known about how it ran.

    A training run has its model and the same files in OUT itself.
    """

    path: Path

    @property
    def labels(self) -> Path:
        """One label image per input, of the same name (`nucseg.formats.label_name`)."""
        return self.path / "labels"

    @property
    def measurements(self) -> Path:
        """One table per image: a line per nucleus."""
        return self.path / "measurements"

    @property
    def overlays(self) -> Path:
        """Pictures of each image with the outlines of its labels."""
        return self.path / "overlays"

    @property
    def container_record(self) -> Path:
        """What the container itself wrote about each image."""
        return self.labels / "nucseg_run.json"

    @property
    def model(self) -> Path:
        """Where `nucseg train` puts the model."""
        return self.path / "model"

    @property
    def command(self) -> Path:
        """The exact command."""
        return self.path / "command.txt"

    @property
    def stdout(self) -> Path:
        """What the method said."""
        return self.path / "stdout.log"

    @property
    def stderr(self) -> Path:
        """What it said on stderr."""
        return self.path / "stderr.log"

    @property
    def resources(self) -> Path:
        """Memory and CPU over time."""
        return self.path / "resources.tsv"

    @property
    def script(self) -> Path:
        """What was submitted to Slurm last."""
        return self.path / "submit.sbatch"

    @property
    def submissions(self) -> Path:
        """Which images went to Slurm in which task of which job."""
        return self.path / "submissions.json"

    @property
    def tasks(self) -> Path:
        """Logs and records of Slurm's tasks, ``<job>_<task>.out``, ``.err`` and ``.json``."""
        return self.path / "tasks"

    def task_file(self, job: str, task: int, suffix: str) -> Path:
        """One of a task's files."""
        return self.tasks / f"{job}_{task}{suffix}"

    @property
    def status(self) -> Path:
        """Written last: a folder without it was cut short."""
        return self.path / "status.json"


@dataclass(frozen=True)
class OutFolder:
    """``OUT/``: one or several methods on the same images."""

    path: Path

    def method(self, name: str) -> MethodFolder:
        """The folder of one method."""
        return MethodFolder(self.path / "methods" / name)

    def methods(self) -> list[str]:
        """Names of the methods that have run here, sorted."""
        folder = self.path / "methods"
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []

    @property
    def run(self) -> Path:
        """How each method ran, and where."""
        return self.path / "run.json"

    @property
    def summary_tsv(self) -> Path:
        """One row per image and method, for a spreadsheet."""
        return self.path / "summary.tsv"

    @property
    def summary_json(self) -> Path:
        """The same with everything that is known."""
        return self.path / "summary.json"

    @property
    def comparison(self) -> Path:
        """The methods side by side, as data: what the report is made from."""
        return self.path / "comparison.json"

    @property
    def report(self) -> Path:
        """The same as a page to look at."""
        return self.path / "report.html"

    @property
    def consensus(self) -> Path:
        """What the majority of methods supports: label images, and a table for each."""
        return self.path / "consensus"

    @property
    def consensus_labels(self) -> Path:
        """Its label images."""
        return self.consensus / "labels"

    @property
    def consensus_support(self) -> Path:
        """Its tables."""
        return self.consensus / "support"

    @property
    def citation(self) -> Path:
        """What to cite."""
        return self.path / "CITATION.md"
