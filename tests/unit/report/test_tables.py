import pytest

from nucseg_launcher.layout import OutFolder
from nucseg_launcher.report.charts import Axis
from nucseg_launcher.report.comparison import read_comparison
from nucseg_launcher.report.tables import method_table, result_table, signed


def test_a_failed_method_has_a_row_with_its_cause(example: OutFolder) -> None:
    rows = {row.method: row for row in method_table(read_comparison(example)).rows}

    assert rows["broken"].state == "failed"
    assert rows["broken"].cause == "the container needed more memory than there is"
    assert [rows[name].state for name in ("exact", "half")] == ["done", "done"]


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.0, "0"), (-0.04, "0"), (-6, "−6"), (10, "+10"), (0.25, "+0.2")]
)
def test_differences_have_a_sign_and_no_difference_has_none(value: float, text: str) -> None:
    assert signed(value) == text


def test_there_is_a_row_for_every_volume_and_method(example: OutFolder) -> None:
    table = result_table(read_comparison(example))

    assert len(table.rows) == 6
    assert [row.state for row in table.rows] == ["done", "done", "failed"] * 2


def test_the_best_value_of_a_column_is_marked(example: OutFolder) -> None:
    table = method_table(read_comparison(example))
    best = {
        column.heading: [row.method for row in table.rows if row.cells[i].is_best]
        for i, column in enumerate(table.columns)
    }

    assert best["F1 at 0.5"] == best["error"] == best["missed"] == ["exact"]
    assert best["s / volume"] == ["half"]
    assert best["nuclei"] == []


def test_means_are_over_the_volumes_that_were_done(example: OutFolder) -> None:
    comparison = read_comparison(example)
    first = next(row for row in comparison["results"] if row["method"] == "half")
    first |= {"status": "failed", "scores": None, "nuclei": None}
    table = method_table(comparison)
    half = next(row for row in table.rows if row.method == "half")
    nuclei = [column.heading for column in table.columns].index("nuclei")

    assert (half.state, half.status, half.cells[nuclei].text) == ("partial", "1 of 2 done", "6")


@pytest.mark.parametrize(("low", "high"), [(19.94, 21.06), (0, 7), (3, 14), (0, 4100)])
def test_ticks_of_counts_are_whole(low: float, high: float) -> None:
    ticks = Axis(low, high, 50, 400, whole=True).ticks()
    assert 2 <= len(ticks) <= 8
    assert all(tick == round(tick) for tick in ticks)


@pytest.mark.parametrize("logarithmic", [False, True])
def test_ticks_lie_on_their_axis(logarithmic: bool) -> None:
    axis = Axis(3, 4100, 50, 400, logarithmic)
    places = [axis.at(value) for value in axis.ticks()]

    assert 3 <= len(places) <= 12
    assert places == sorted(places)
    assert places[0] >= 50
    assert places[-1] <= 400
