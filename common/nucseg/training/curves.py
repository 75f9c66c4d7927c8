"""The log of a training run: ``training.tsv`` for programs, ``training.png`` for people."""

from pathlib import Path

from nucseg.atomic import atomic_path

SCORE = "f1"


class Curves:
    """Loss terms and validation scores over the steps; both files are written anew with each line.

    Parameters
    ----------
    folder : pathlib.Path
        Gets ``training.tsv`` (step, seconds, one column per loss term, f1 where there was a
        validation) and ``training.png``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict[str, str]] = []
        self.scores: dict[int, float] = {}

    def cut(self, step: int) -> None:
        """Take up the log of an earlier run as far as this step; its checkpoint knows no more."""
        path = self.folder / "training.tsv"
        if not path.exists():
            return
        header, *lines = (line.split("\t") for line in path.read_text().splitlines())
        rows = [dict(zip(header, line, strict=True)) for line in lines]
        self.rows = [row for row in rows if int(row["step"]) <= step]
        self.scores = {int(row["step"]): float(row[SCORE]) for row in self.rows if row[SCORE]}

    def add(self, step: int, seconds: float, terms: dict[str, float]) -> None:
        """A line of the log; it replaces the last one of the same step."""
        if self.rows and self.rows[-1]["step"] == str(step):
            self.rows.pop()
        values = {name: f"{value:.5f}" for name, value in terms.items()}
        self.rows.append({"step": str(step), "seconds": f"{seconds:.1f}", **values, SCORE: ""})
        self.write()

    def add_score(self, step: int, score: float) -> None:
        """The score of a validation."""
        self.scores[step] = score

    def write(self) -> None:
        """Write both files."""
        if not self.rows:
            return
        waiting = dict(self.scores)
        for row in self.rows:
            # A validation between two lines is told with the next one.
            for step in sorted(step for step in waiting if step <= int(row["step"])):
                row[SCORE] = f"{waiting.pop(step):.4f}"
        lines = ["\t".join(self.rows[0]), *("\t".join(row.values()) for row in self.rows)]
        with atomic_path(self.folder / "training.tsv") as part:
            part.write_text("\n".join(lines) + "\n")
        with atomic_path(self.folder / "training.png") as part:
            self._draw(part)

    def _draw(self, path: Path) -> None:
        from matplotlib.figure import Figure

        figure = Figure((7, 3.5), layout="constrained")
        losses = figure.subplots()
        steps = [int(row["step"]) for row in self.rows]
        for name in self.rows[0]:
            if name not in ("step", "seconds", SCORE):
                losses.plot(steps, [float(row[name]) for row in self.rows], label=name, linewidth=1)
        losses.set(xlabel="step", ylabel="loss", yscale="log")
        if self.scores:
            scores = losses.twinx()
            scores.plot(list(self.scores), list(self.scores.values()), "ko-", markersize=4, label="F1 (validation)")
            scores.set(ylabel="F1 at IoU 0.5", ylim=(0, 1))
            scores.legend(loc="lower left")
        losses.legend(loc="upper right")
        figure.savefig(path, format="png", dpi=120)
