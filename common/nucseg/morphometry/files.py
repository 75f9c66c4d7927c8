"""Tables of nuclei as files: CSV, and a JSON file beside it that says what the columns are."""

import csv
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from nucseg import __version__
from nucseg.atomic import atomic_path
from nucseg.morphometry.columns import COLUMNS, dtype_of
from nucseg.morphometry.table import Table
from nucseg.volume import Volume


def table_files(folder: Path, stem: str) -> tuple[Path, Path]:
    """Where the table of an image lies, and its companion."""
    return folder / f"{stem}.csv", folder / f"{stem}.json"


def write_table(path: Path, table: Table) -> None:
    """Write a table as CSV: names of columns first, then one row per nucleus.

    Floats have 7 significant digits, as much as their inputs carry.

    Raises
    ------
    NucsegError
        With `ENVIRONMENT`, when the file cannot be written. There is no file then.
    """
    columns = [
        [f"{v:.7g}" for v in column] if column.dtype.kind == "f" else column.tolist() for column in table.values()
    ]
    with atomic_path(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table)
        writer.writerows(zip(*columns, strict=True))


def write_companion(path: Path, table: Table, volume: Volume) -> None:
    """Write unit, definition and source of each column of a table, and which image it is of.

    Raises
    ------
    NucsegError
        With `ENVIRONMENT`, when the file cannot be written. There is no file then.
    """
    content = {
        "image": volume.source.name,
        "nucseg": __version__,
        "voxel_size_um": volume.voxel_size,
        "nuclei": len(table["label"]),
        "columns": {name: {key: text for key, text in asdict(COLUMNS[name]).items() if text} for name in table},
    }
    with atomic_path(path) as part:
        # The image's name need not be valid Unicode; backslashes are JSON's escape, too.
        part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8", "backslashreplace")


def read_table(path: Path) -> Table:
    """Read a table back.

    Returns
    -------
    dict of str to numpy.ndarray
        Columns in the order of the file; counts, labels and indices int64, the others float64.

    Raises
    ------
    ValueError
        This is no table of numbers.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise ValueError(f"{path} is no complete table")
    cells = np.array(rows[1:], dtype=str).reshape(len(rows) - 1, len(rows[0]))
    return {name: column.astype(dtype_of(name)) for name, column in zip(rows[0], cells.T, strict=True)}
