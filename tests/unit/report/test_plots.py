import pytest

from nucseg_launcher.layout import OutFolder
from nucseg_launcher.report.colours import styles
from nucseg_launcher.report.comparison import read_comparison
from nucseg_launcher.report.plots import plots_of

METHODS = ("exact", "half", "broken")


@pytest.fixture
def charts(example: OutFolder) -> dict[str, list[str]]:
    """What each plot tells on hover."""
    plots = plots_of(read_comparison(example), styles(METHODS))
    return {plot.title: [part.hint for part in (*plot.lines, *plot.marks) if part.hint] for plot in plots}


def test_there_is_a_plot_for_everything_that_was_measured(charts: dict[str, list[str]]) -> None:
    assert list(charts) == [
        "F1 over IoU",
        "Number of nuclei",
        "Volume of the nuclei",
        "Sphericity of the nuclei",
        "Cost",
    ]


def test_plots_show_the_values(charts: dict[str, list[str]]) -> None:
    assert charts["F1 over IoU"] == [
        "exact: F1 1.000 at IoU 0.5",
        "exact: F1 1.000 at IoU 0.75",
        "half: F1 0.667 at IoU 0.5",
        "half: F1 0.667 at IoU 0.75",
    ]
    assert "half, second.tif: 6 nuclei" in charts["Number of nuclei"]
    assert "first.tif: 12 true nuclei" in charts["Number of nuclei"]
    assert len(charts["Volume of the nuclei"]) == 2
    assert len(charts["Sphericity of the nuclei"]) == 4
    assert charts["Cost"] == ["exact: 14 s, 0.47 GB", "half: 8 s, 0.47 GB"]


def test_a_method_has_one_colour_and_its_own_marker(example: OutFolder) -> None:
    comparison = read_comparison(example)
    drawn = styles(METHODS)
    plots = plots_of(comparison, drawn)

    for plot in plots:
        assert {mark.style for mark in plot.marks if mark.hint.startswith("half")} <= {drawn["half"]}
    assert len({style.colour for style in drawn.values()}) == len({style.marker for style in drawn.values()}) == 3


def test_a_sphericity_above_1_is_explained_where_there_is_one(example: OutFolder) -> None:
    comparison = read_comparison(example)

    def note() -> str:
        plots = {plot.title: plot for plot in plots_of(comparison, styles(METHODS))}
        return plots["Sphericity of the nuclei"].note

    assert "above 1" not in note()
    comparison["results"][0]["sphericity"]["q95"] = 1.02
    assert "few voxels" in note()
