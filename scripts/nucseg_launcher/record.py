"""The records of a launcher run: ``status.json``, ``run.json``, the summaries and ``CITATION.md``."""

import json
import os
import platform
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nucseg import __version__
from nucseg.atomic import atomic_path
from nucseg.errors import NucsegError
from nucseg.record import FAILED, read_json
from nucseg_launcher.causes import error_lines
from nucseg_launcher.layout import MethodFolder, OutFolder
from nucseg_launcher.lock import locked

NOT_DONE = "not done"

_COLUMNS = ("method", "image", "status", "nuclei", "seconds")


def now() -> str:
    """Time of day in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def host() -> dict[str, Any]:
    """The machine that the launcher runs on."""
    return {
        "name": platform.node(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "user": f"{os.getuid()}:{os.getgid()}",
    }


def write_json(path: Path, content: Any) -> None:
    """Write JSON in one step."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file in one step."""
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8")


def image_entries(folder: MethodFolder, images: Iterable[str], errors: str) -> list[dict[str, Any]]:
    """One entry per image: the container's own record of it, else what its log says, else "not done".

    Where no image succeeded there is no record, and only the log tells of the failures.
    """
    recorded = {entry["file"]: entry for entry in read_json(folder.container_record).get("images", [])}
    said = error_lines(errors)
    entries = []
    for name in images:
        entry = recorded.get(name) or {"file": name, "status": NOT_DONE}
        told = [(cause, hint) for cause, hint in said if cause.startswith((f"{name}: ", f"{name} "))]
        if name not in recorded and told:
            cause, hint = told[-1]
            entry |= {"status": FAILED, "cause": cause.removeprefix(f"{name}: "), "hint": hint}
        entries.append(entry)
    return entries


def outcome_facts(folder: MethodFolder, entries: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """What a run is done again by, and compared with: images and labels by their hashes, weights, citation."""
    recorded = read_json(folder.container_record)
    kept = ("file", "status", "sha256", "labels_sha256", "nuclei")
    images = [{key: entry[key] for key in kept if key in entry} for entry in entries]
    return {"weights": recorded.get("model"), "citation": recorded.get("citation", ""), "images": images}


def summary_rows(out: OutFolder, current: dict[str, Any]) -> list[dict[str, Any]]:
    """One row per image and method, of every method that has run in this folder.

    Parameters
    ----------
    current : dict
        The status of the present run, which is not written yet.
    """
    statuses = {name: read_json(out.method(name).status) for name in out.methods()}
    statuses[current["method"]] = current
    return [_row(name, entry) for name, status in sorted(statuses.items()) for entry in status.get("images", [])]


def _row(method: str, entry: dict[str, Any]) -> dict[str, Any]:
    row = {"method": method, "image": entry["file"]}
    row |= {key: entry.get(key) for key in ("status", "nuclei", "seconds")}
    row |= {key: entry[key] for key in ("voxel_size_um", "scores", "problems", "cause", "hint") if entry.get(key)}
    return row


def write_summaries(out: OutFolder, current: dict[str, Any]) -> None:
    """Write ``summary.json`` (everything) and ``summary.tsv`` (for a spreadsheet)."""
    rows = summary_rows(out, current)
    write_json(out.summary_json, rows)
    table = [_flat(row) for row in rows]
    columns = list(dict.fromkeys([*_COLUMNS, *(key for row in table for key in row if key != "cause"), "cause"]))
    write_text(out.summary_tsv, table_text(table, columns))


def table_text(rows: Iterable[dict[str, Any]], columns: Iterable[str]) -> str:
    """Rows as tab-separated values, names of columns first; empty for None."""
    columns = list(columns)
    lines = ["\t".join(columns), *("\t".join(_cell(row.get(column)) for column in columns) for row in rows)]
    return "\n".join(lines) + "\n"


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its voxel size and its scores as columns: all of them at the first threshold, F1 at the others."""
    flat = {key: row.get(key) for key in _COLUMNS}
    if row.get("voxel_size_um"):
        flat |= {f"voxel_size_{axis}_um": size for axis, size in zip("zyx", row["voxel_size_um"], strict=True)}
    for number, score in enumerate(row.get("scores") or []):
        names = ("precision", "recall", "f1", "mean_matched_iou") if number == 0 else ("f1",)
        flat |= {f"{name}_at_{score['threshold']:g}": score.get(name) for name in names}
    flat["cause"] = "; ".join([*filter(None, [row.get("cause")]), *row.get("problems", [])])
    return flat


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return re.sub(r"\s", " ", str(value))


def write_run(out: OutFolder, method: str, facts: dict[str, Any]) -> None:
    """Put a method's run into ``run.json``, beside those of other methods in this folder."""
    methods = read_json(out.run).get("methods", {})
    write_json(out.run, {"nucseg": __version__, "host": host(), "methods": {**methods, method: facts}})


def write_records(out: OutFolder, facts: dict[str, Any], status: dict[str, Any]) -> None:
    """Write all records of a method's run; the status last, because it tells that they are complete.

    Parameters
    ----------
    out : OutFolder
    facts : dict
        For ``run.json``.
    status : dict
        For ``status.json``; it names the method.
    """
    with locked(out.path, wait=True):
        write_run(out, status["method"], facts)
        write_summaries(out, status)
        write_citation(out)
    write_json(out.method(status["method"]).status, status)


def write_not_run(folder: MethodFolder, method: str, error: NucsegError) -> None:
    """Note that a method could not even be started, unless an earlier run has left its status."""
    if folder.status.exists():
        return
    folder.path.mkdir(parents=True, exist_ok=True)
    status = {"method": method, "status": "failed", "exit_code": error.exit_code, "images": []}
    write_json(folder.status, {**status, "cause": error.cause, "hint": error.hint})


def write_citation(out: OutFolder) -> None:
    """Write what to cite for the results in this folder."""
    lines = ["# What to cite for these results", ""]
    for method, facts in sorted(read_json(out.run).get("methods", {}).items()):
        version = facts.get("image_digest") or facts.get("image_id") or facts.get("image") or ""
        lines.append(f"- {method}: {facts.get('citation') or 'see the method card in the nucseg repository'}")
        if version:
            lines.append(f"  (container image {version})")
    lines += ["- nucseg, the software that ran it: version " + __version__, ""]
    write_text(out.citation, "\n".join(lines))
