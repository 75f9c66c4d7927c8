"""The page: what is known of a run, handed to the template."""

from pathlib import Path
from typing import Any

from nucseg.errors import FAILED_IMAGE, NucsegError
from nucseg.record import DONE, read_json
from nucseg_launcher.layout import OutFolder
from nucseg_launcher.record import write_text
from nucseg_launcher.report.charts import WIDTH
from nucseg_launcher.report.colours import styles
from nucseg_launcher.report.comparison import read_comparison
from nucseg_launcher.report.gallery import Shown, gallery_of
from nucseg_launcher.report.plots import plots_of
from nucseg_launcher.report.sources import CONSENSUS, TRUTH
from nucseg_launcher.report.tables import FAILED_STATES, method_table, result_table, true_count
from nucseg_launcher.units import count_text, size_text


def write_report(out: OutFolder) -> Path:
    """Write ``report.html`` from ``comparison.json`` and the files that it names.

    Parameters
    ----------
    out : OutFolder

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    NucsegError
        There is no comparison here, or (`ENVIRONMENT`) the page can't be written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    comparison = read_comparison(out)
    if not comparison:
        raise NucsegError(f"there is no comparison in {out.path}", "run a method there first", FAILED_IMAGE)
    environment = Environment(
        loader=PackageLoader("nucseg_launcher.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    write_text(out.report, environment.get_template("report.html").render(content(out, comparison)))
    return out.report


def content(out: OutFolder, comparison: dict[str, Any]) -> dict[str, Any]:
    """What the template shows."""
    methods = comparison["methods"]
    names = [method["name"] for method in methods]
    run = read_json(out.run)
    shown = gallery_of(out, comparison)
    return {
        "comparison": comparison,
        "heading": _heading(comparison),
        "facts": _facts(comparison),
        "verdicts": _verdicts(comparison),
        "methods": methods,
        "styles": styles([*names, CONSENSUS]),
        "summary": method_table(comparison),
        "details": result_table(comparison),
        "agreement": comparison["agreement"],
        "charts": plots_of(comparison, styles(names)),
        "chart_width": WIDTH,
        "shown": shown,
        "not_shown": sum(bool(volume["shape"]) for volume in comparison["volumes"]) - len(shown),
        "some_done": any(row["status"] == DONE for row in comparison["results"]),
        "results": {(row["method"], row["volume"]): row for row in comparison["results"]},
        "true_counts": {volume["name"]: true_count(comparison, volume["name"]) for volume in comparison["volumes"]},
        "truth": TRUTH,
        "consensus": CONSENSUS,
        "viewers": {number: _viewer_data(pictures) for number, pictures in enumerate(shown) if pictures.viewer},
        "failures": _failures(comparison),
        "warnings": comparison["warnings"],
        "host": run.get("host") or {},
        "provenance": {
            method["name"]: provenance(method, (run.get("methods") or {}).get(method["name"]) or {})
            for method in methods
        },
        "citations": _citations(out.citation),
    }


def _heading(comparison: dict[str, Any]) -> str:
    methods, volumes = comparison["methods"], comparison["volumes"]
    what = methods[0]["name"] if len(methods) == 1 else count_text(len(methods), "method")
    return f"{what} on {count_text(len(volumes), 'volume')}"


def _facts(comparison: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and value of what concerns the whole run."""
    made = (comparison["made"] or "").replace("T", " ")[:16]
    facts = [
        ("Images", comparison["input"]),
        ("Ground truth", comparison["ground_truth"]),
        ("Made", f"{made} by nucseg {comparison['nucseg']}"),
    ]
    return [(name, value) for name, value in facts if value]


def _verdicts(comparison: dict[str, Any]) -> list[tuple[str, str]]:
    """What comes out, in a sentence each."""
    ranking = comparison["ranking"] or {}
    advice = (comparison["agreement"] or {}).get("recommendation") or {}
    verdicts = [("Against the ground truth", ranking.get("text"))]
    if not ranking.get("text"):
        verdicts.append(("Without ground truth", advice.get("text")))
    return [(title, text) for title, text in verdicts if text]


def _failures(comparison: dict[str, Any]) -> list[dict[str, str]]:
    """Everything that failed or is missing, with what to do."""
    failures = [
        _failure(method["name"], method)
        for method in comparison["methods"]
        if method["status"] in FAILED_STATES and method["cause"]
    ]
    for row in comparison["results"]:
        where = f"{row['method']}, {row['volume']}"
        if row["status"] != DONE and row["cause"]:
            failures.append(_failure(where, row))
        failures += [{"where": where, "cause": problem, "hint": ""} for problem in row["problems"]]
    return failures


def _failure(where: str, entry: dict[str, Any]) -> dict[str, str]:
    return {"where": where, "cause": entry["cause"], "hint": entry["hint"] or ""}


def provenance(method: dict[str, Any], facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and value of everything that decides about a method's labels, or tells where they come from.

    Parameters
    ----------
    method : dict
        As the comparison has it.
    facts : dict
        As ``run.json`` has it; empty for labels that were given.
    """
    weights = method["weights"] or {}
    params = facts.get("params") or {}
    size = method["image_size_bytes"]
    listed = [
        ("labels given", method["labels"] if method["source"] == "also" else None),
        ("image", method["image"]),
        ("image id", method["image_id"]),
        ("image digest", method["image_digest"]),
        ("image size", size_text(size) if size else None),
        ("weights", weights.get("name")),
        ("sha256 of the weights", weights.get("sha256")),
        ("settings", ", ".join(f"{name}={value}" for name, value in params.items())),
        ("engine", method["engine"]),
        ("device", facts.get("device")),
        ("began", facts.get("started")),
        ("citation", method["citation"]),
    ]
    return [(name, str(value)) for name, value in listed if value]


def _citations(path: Path) -> list[str]:
    """The entries of CITATION.md."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    entries: list[str] = []
    for line in lines:
        if line.startswith("- "):
            entries.append(line[2:])
        elif line.strip() and entries:
            entries[-1] += " " + line.strip()
    return entries


def _viewer_data(pictures: Shown) -> dict[str, Any]:
    """What the script needs to show any slice."""
    assert pictures.viewer is not None
    voxel = pictures.volume["voxel_size_um"]
    return {
        "planes": pictures.viewer.planes,
        "z_um": voxel[0] if voxel else None,
        "slices": pictures.viewer.slices,
        "outlines": pictures.viewer.outlines,
    }
