"""The tables of the report: which columns there are, what they mean, and how a value is written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from nucseg.record import DONE
from nucseg_launcher.record import NOT_DONE
from nucseg_launcher.units import size_text

_MIB = 1024**2
FAILED_STATES = ("failed", "interrupted", NOT_DONE)
"""Of methods and of volumes: shown as a red row."""


@dataclass(frozen=True)
class Column:
    """A column of numbers.

    Attributes
    ----------
    heading, meaning : str
        The meaning is shown on hover.
    value : callable
        Takes a row; None where it has no value.
    write : callable
        Takes the value.
    best : callable or None
        Which of the values is the best one.
    is_averaged : bool
        Whether the table of methods has its mean over the volumes.
    """

    heading: str
    meaning: str
    value: Callable[[Any], float | None]
    write: Callable[[float], str]
    best: Callable[[Sequence[float]], float] | None = None
    is_averaged: bool = True


@dataclass(frozen=True)
class Cell:
    """A value as it is written, with the number to sort by."""

    text: str
    order: float | None
    is_best: bool = False


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes
    ----------
    method, volume : str
        The volume is empty where the row is about all of them.
    state : str
        ``done``, ``partial`` or ``failed``: how the row looks.
    status : str
        In words.
    cause : str
        Why it failed.
    cells : list of Cell
    """

    method: str
    volume: str
    state: str
    status: str
    cause: str
    cells: list[Cell]


@dataclass(frozen=True)
class Table:
    """Columns that have at least one value, and all rows."""

    columns: list[Column]
    rows: list[Row]


def share(value: float) -> str:
    """A score from 0 to 1."""
    return f"{value:.3f}"


def count(value: float) -> str:
    """A whole number, or a mean of them."""
    return f"{value:,.0f}" if float(value).is_integer() or value >= 100 else f"{value:.1f}"


def signed(value: float) -> str:
    """A difference of counts."""
    text = f"{value:+,.0f}" if float(value).is_integer() else f"{value:+.1f}"
    return text.replace("-", "−") if text.strip("+-0.") else "0"


def seconds(value: float) -> str:
    """A time in seconds."""
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def micrometres(value: float) -> str:
    """A distance."""
    return f"{value:.2f}"


def true_count(comparison: dict[str, Any], volume: str) -> int | None:
    """How many true nuclei a volume has, as its scores say."""
    counts = (row["scores"]["n_true"] for row in comparison["results"] if row["volume"] == volume and row["scores"])
    return next(counts, None)


def _score(key: str) -> Callable[[dict[str, Any]], float | None]:
    return lambda row: (row["scores"] or {}).get(key)


_SECONDS = Column("seconds", "time for the volume", lambda row: row["seconds"], seconds, min, is_averaged=False)
"""The table of methods has it under another heading."""


def _of_results() -> list[Column]:
    """Columns about one method and one volume."""
    return [
        Column("nuclei", "nuclei found", lambda row: row["nuclei"], count),
        Column("error", "nuclei found less true nuclei", _score("count_error"), signed, lambda v: min(v, key=abs)),
        Column("F1 at 0.5", "F1, where a nucleus is found at IoU 0.5", _score("f1_50"), share, max),
        Column("precision", "share of the found nuclei that are true", _score("precision_50"), share, max),
        Column("recall", "share of the true nuclei that were found", _score("recall_50"), share, max),
        Column("F1 at 0.75", "F1, where a nucleus is found at IoU 0.75", _score("f1_75"), share, max),
        Column("IoU", "mean IoU of the nuclei that were found", _score("mean_matched_iou"), share, max),
        Column("SEG", "the Cell Tracking Challenge's score", _score("seg"), share, max),
        Column("AJI", "aggregated Jaccard index", _score("aji"), share, max, is_averaged=False),
        Column(
            "HD95 µm",
            "how far outlines are apart, all but the worst 5 %",
            _score("hausdorff95_um"),
            micrometres,
            min,
            is_averaged=False,
        ),
        Column("splits", "true nuclei that were cut into several", _score("n_splits"), count, min),
        Column("merges", "found nuclei that hold several true ones", _score("n_merges"), count, min),
        Column("missed", "true nuclei with no found one", _score("n_missed"), count, min),
        Column("spurious", "found nuclei with no true one", _score("n_spurious"), count, min),
        _SECONDS,
        Column(
            "memory",
            "most memory used",
            lambda row: _bytes(row["peak_memory_mib"]),
            size_text,
            min,
            is_averaged=False,
        ),
    ]


def _bytes(mebibytes: float | None) -> float | None:
    return None if mebibytes is None else mebibytes * _MIB


def _mean(column: Column) -> Callable[[dict[str, Any]], float | None]:
    def value(method: dict[str, Any]) -> float | None:
        values = [v for row in method["done"] if (v := column.value(row)) is not None]
        return fmean(values) if values else None

    return value


def result_table(comparison: dict[str, Any]) -> Table:
    """One row per volume and method."""
    causes = {method["name"]: method["cause"] for method in comparison["methods"]}
    rows = [
        (
            {**row, "cause": row["cause"] or causes[row["method"]]},
            row["method"],
            row["volume"],
            "done" if row["status"] == DONE else "failed",
            row["status"],
        )
        for volume in comparison["volumes"]
        for row in comparison["results"]
        if row["volume"] == volume["name"]
    ]
    return _table(_of_results(), rows, mark_best=False)


def method_table(comparison: dict[str, Any]) -> Table:
    """One row per method, with means over the volumes that it has done; failed methods too."""
    total = len(comparison["volumes"])
    agreement = {row["method"]: row["mean"] for row in (comparison["agreement"] or {}).get("rows", [])}
    columns = [
        Column(c.heading, f"{c.meaning}; mean over the volumes", _mean(c), c.write, c.best)
        for c in _of_results()
        if c.is_averaged
    ]
    columns += [
        Column("agreement", "mean F1 against each other method", lambda m: agreement.get(m["name"]), share, max),
        Column("s / volume", "seconds per volume", _mean(_SECONDS), seconds, min),
        Column("memory", "most memory used", _peak, size_text, min),
        Column("GPU memory", "most GPU memory used", lambda m: m["peak_gpu_bytes"], size_text, min),
    ]
    rows = []
    for method in comparison["methods"]:
        done = [r for r in comparison["results"] if r["method"] == method["name"] and r["status"] == DONE]
        status = method["status"] or DONE
        state = "failed" if status in FAILED_STATES or not done else "done" if len(done) == total else "partial"
        words = f"{len(done)} of {total} done" if state == "partial" else status
        rows.append(({**method, "done": done}, method["name"], "", state, words))
    return _table(columns, rows, mark_best=len(rows) > 1)


def _peak(method: dict[str, Any]) -> float | None:
    peaks = [row["peak_memory_mib"] * _MIB for row in method["done"] if row["peak_memory_mib"]]
    return method["peak_memory_bytes"] or max(peaks, default=None)


def _table(columns: list[Column], rows: list[tuple[Any, str, str, str, str]], *, mark_best: bool) -> Table:
    values = [[column.value(row) for column in columns] for row, *_ in rows]
    used = [i for i in range(len(columns)) if any(line[i] is not None for line in values)]
    best = {}
    for i in used:
        present = [value for line in values if (value := line[i]) is not None]
        choose = columns[i].best
        if mark_best and choose and len(set(present)) > 1:
            best[i] = choose(present)
    made = []
    for (row, method, volume, state, status), line in zip(rows, values, strict=True):
        cells = [_cell(columns[i], line[i], best.get(i)) for i in used]
        made.append(Row(method, volume, state, status, row["cause"] or "", cells))
    return Table([columns[i] for i in used], made)


def _cell(column: Column, value: float | None, best: float | None) -> Cell:
    if value is None:
        return Cell("–", None)
    text = column.write(value)
    return Cell(text, value, best is not None and text == column.write(best))
