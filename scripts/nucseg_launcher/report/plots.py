"""The plots of a comparison. A plot that has nothing to show is left out."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from nucseg.record import DONE
from nucseg_launcher.report.charts import Axis, Chart, Line, Mark, axis_over, frame, plot_area, row_chart
from nucseg_launcher.report.colours import Style
from nucseg_launcher.report.tables import true_count

_MOST_VOLUMES = 20
_MOST_BOXED_VOLUMES = 6
_GB = 1024**3
_ABOVE_1 = "The surface of a nucleus of few voxels comes out a little too small, and its sphericity above 1."


def plots_of(comparison: dict[str, Any], styles: dict[str, Style]) -> list[Chart]:
    """All plots that the results allow."""
    unsized = {**comparison, "results": [row for row in comparison["results"] if not row["volume_um3"]]}
    made = (
        _accuracy(comparison, styles),
        _ranking(comparison, styles),
        _counts(comparison, styles),
        _boxes(comparison, styles, "volume_um3", "Volume of the nuclei", "volume in µm³"),
        _boxes(unsized, styles, "volume_voxels", "Volume, size of a voxel unknown", "volume in voxels"),
        _boxes(comparison, styles, "sphericity", "Sphericity of the nuclei", "sphericity (1: a ball)"),
        _cost(comparison, styles),
    )
    return [chart for chart in made if chart]


def _done(comparison: dict[str, Any], method: str | None = None) -> list[dict[str, Any]]:
    return [
        row for row in comparison["results"] if row["status"] == DONE and (method is None or row["method"] == method)
    ]


def _accuracy(comparison: dict[str, Any], styles: dict[str, Style]) -> Chart | None:
    curves = {}
    for method in styles:
        points: dict[float, list[float]] = {}
        for row in _done(comparison, method):
            for score in (row["scores"] or {}).get("f1_by_iou") or []:
                points.setdefault(score["threshold"], []).append(score["f1"])
        if points:
            curves[method] = {iou: sum(f1) / len(f1) for iou, f1 in sorted(points.items())}
    if not curves:
        return None
    chart = Chart("F1 over IoU", "How many nuclei are right, the stricter one asks. Mean over the volumes.")
    ious = [iou for curve in curves.values() for iou in curve]
    across, up = plot_area()
    x, y = Axis(min(ious) - 0.02, max(ious) + 0.02, *across), Axis(0, 1, *up)
    frame(chart, x, y, "IoU that a nucleus needs to count as found", "F1")
    for method, curve in curves.items():
        path = "M" + "L".join(f"{x.at(iou)} {y.at(f1)}" for iou, f1 in curve.items())
        chart.lines.append(Line(path, "curve", styles[method].colour))
        chart.marks += [
            Mark(x.at(iou), y.at(f1), styles[method], f"{method}: F1 {f1:.3f} at IoU {iou:g}")
            for iou, f1 in curve.items()
        ]
    return chart


def _ranking(comparison: dict[str, Any], styles: dict[str, Style]) -> Chart | None:
    ranking = comparison["ranking"]
    if not ranking or not ranking.get("rows"):
        return None
    note = "Mean over the volumes, with its 95 % range when nuclei are drawn anew (bootstrap)."
    rows = [row for row in ranking["rows"] if row["method"] in styles]
    chart, across, places = row_chart(ranking["by"], note, [("", row["method"]) for row in rows])
    ends = [row[key] for row in rows for key in ("mean", "low", "high") if row.get(key) is not None]
    x = axis_over(ends, *across)
    x = replace(x, low=max(x.low, 0), high=min(x.high, 1.02))
    frame(chart, x, None, ranking["by"])
    for row, y in zip(rows, places, strict=True):
        style, hint = styles[row["method"]], f"{row['method']}: {row['mean']:.3f}"
        if row.get("low") is not None and row.get("high") is not None:
            chart.lines.append(Line(f"M{x.at(row['low'])} {y}H{x.at(row['high'])}", "range", style.colour))
            hint += f" ({row['low']:.3f} to {row['high']:.3f})"
        chart.marks.append(Mark(x.at(row["mean"]), y, style, hint))
    return chart


def _counts(comparison: dict[str, Any], styles: dict[str, Style]) -> Chart | None:
    rows = [row for row in _done(comparison) if row["nuclei"] is not None and row["method"] in styles]
    volumes = _named(comparison, (row["volume"] for row in rows))[:_MOST_VOLUMES]
    if not volumes:
        return None
    truths = {name: true_count(comparison, name) for name in volumes}
    known = [count for count in truths.values() if count is not None]
    note = "Nuclei found per volume" + ("; the black line is the true number." if known else ".")
    if len(volumes) == _MOST_VOLUMES:
        note += f" The first {_MOST_VOLUMES} volumes."
    spread = 7.0
    height = max(22.0, spread * len(styles) + 8)
    rows_of = [("", _stem(comparison, name)) for name in volumes]
    chart, across, places = row_chart("Number of nuclei", note, rows_of, height)
    x = axis_over([*(row["nuclei"] for row in rows), *known], *across, whole=True)
    frame(chart, x, None, "nuclei")
    for name, y in zip(volumes, places, strict=True):
        if (truth := truths[name]) is not None:
            chart.lines.append(
                Line(
                    f"M{x.at(truth)} {y - height / 2 + 2}V{y + height / 2 - 2}",
                    "truth",
                    hint=f"{name}: {truth} true nuclei",
                )
            )
        for number, (method, style) in enumerate(styles.items()):
            chart.marks += [
                Mark(x.at(row["nuclei"]), y + spread * (number - (len(styles) - 1) / 2), style, hint)
                for row in rows
                if (row["method"], row["volume"]) == (method, name)
                for hint in (f"{method}, {name}: {row['nuclei']} nuclei",)
            ]
    return chart


def _boxes(comparison: dict[str, Any], styles: dict[str, Style], key: str, title: str, unit: str) -> Chart | None:
    rows = [row for row in _done(comparison) if row[key] and row["method"] in styles]
    volumes = _named(comparison, (row["volume"] for row in rows))
    if not volumes:
        return None
    note = "Box: the middle half of the nuclei, with the median; whiskers: 5 % to 95 %."
    if len(volumes) > _MOST_BOXED_VOLUMES:
        note += f" The first {_MOST_BOXED_VOLUMES} of {len(volumes)} volumes."
    order = list(styles)
    listed = sorted(
        (row for row in rows if row["volume"] in volumes[:_MOST_BOXED_VOLUMES]),
        key=lambda row: (volumes.index(row["volume"]), order.index(row["method"])),
    )
    names = [(_stem(comparison, row["volume"]), row["method"]) for row in listed]
    values = [row[key][end] for row in listed for end in ("q05", "q95")]
    if key == "sphericity" and max(values) > 1:
        note = f"{note} {_ABOVE_1}"
    chart, across, places = row_chart(title, note, names)
    x = axis_over(values, *across, logarithmic=min(values) > 0 and max(values) / min(values) > 30)
    frame(chart, x, None, unit)
    for row, y in zip(listed, places, strict=True):
        q05, q25, q50, q75, q95 = (x.at(row[key][q]) for q in ("q05", "q25", "q50", "q75", "q95"))
        colour = styles[row["method"]].colour
        hint = f"{row['method']}, {row['volume']}: median {row[key]['q50']:.3g}"
        chart.lines += [
            Line(f"M{q05} {y}H{q25}M{q75} {y}H{q95}", "whisker", colour),
            Line(f"M{q25} {y - 5.5}H{q75}V{y + 5.5}H{q25}z", "box", colour, hint),
            Line(f"M{q50} {y - 5.5}V{y + 5.5}", "median", colour),
        ]
    return chart


def _cost(comparison: dict[str, Any], styles: dict[str, Style]) -> Chart | None:
    points = []
    for method in comparison["methods"]:
        seconds = [row["seconds"] for row in _done(comparison, method["name"]) if row["seconds"]]
        if seconds and method["peak_memory_bytes"]:
            points.append((method["name"], sum(seconds) / len(seconds), method["peak_memory_bytes"] / _GB))
    if len(points) < 2:
        return None
    chart = Chart("Cost", "Time per volume and the most memory used. Lower left is cheap.")
    across, up = plot_area()
    x = axis_over([p[1] for p in points], *across, logarithmic=True)
    y = axis_over([p[2] for p in points], *up, zero=True)
    frame(chart, x, y, "seconds per volume", "memory in GB")
    chart.marks += [
        Mark(x.at(seconds), y.at(memory), styles[name], f"{name}: {seconds:.3g} s, {memory:.2g} GB")
        for name, seconds, memory in points
    ]
    return chart


def _named(comparison: dict[str, Any], names: Iterable[str]) -> list[str]:
    """Volumes in the order of the comparison."""
    present = set(names)
    return [volume["name"] for volume in comparison["volumes"] if volume["name"] in present]


def _stem(comparison: dict[str, Any], name: str) -> str:
    stem = next(volume["stem"] for volume in comparison["volumes"] if volume["name"] == name)
    return stem if len(stem) <= 22 else f"{stem[:12]}…{stem[-9:]}"
