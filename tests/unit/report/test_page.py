import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from report_example import write_example

from nucseg.errors import NucsegError
from nucseg_launcher.layout import OutFolder
from nucseg_launcher.report import write_report
from nucseg_launcher.report.comparison import read_comparison
from nucseg_launcher.report.gallery import gallery_of
from nucseg_launcher.report.sources import segmented_part
from nucseg_launcher.report.tables import true_count


def words(page: Path) -> str:
    """The text of a page, without its style and script."""
    html = re.sub(r"<(style|script).*?</\1>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", html))


def test_the_page_loads_nothing_and_is_small(example: OutFolder) -> None:
    page = write_report(example)

    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page.read_text(encoding="utf-8"))
    assert "url(" not in page.read_text(encoding="utf-8")
    assert page.stat().st_size < 1_000_000
    assert list(example.path.glob(".*.part")) == []


def test_commands_citations_and_causes_are_on_the_page(example: OutFolder) -> None:
    text = words(write_report(example))

    assert "docker run --rm nucseg/half:v0.1.0 --in /data --out /out" in text
    assert "Euclid, Elements" in text
    assert "the container needed more memory than there is. Try: --memory 8g" in text
    assert "Take exact" in text


def test_a_run_of_one_method_without_ground_truth_has_a_report(tmp_path: Path) -> None:
    text = words(write_report(write_example(tmp_path, ground_truth=False, methods=("half",))))

    assert "half on 2 volumes" in text
    assert "6 nuclei" in text
    for absent in ("F1", "IoU", "Ground truth", "Agreement", "disagree", "best value"):
        assert absent not in text


def test_where_nothing_is_done_there_are_no_tables_and_no_pictures(tmp_path: Path) -> None:
    out = write_example(tmp_path, methods=("broken",))
    comparison = json.loads(out.comparison.read_text(encoding="utf-8"))
    for volume in comparison["volumes"]:
        volume |= {"shape": None, "voxel_size_um": None}
    comparison["methods"][0]["peak_memory_bytes"] = 500_000_000
    out.comparison.write_text(json.dumps(comparison), encoding="utf-8")

    page = write_report(out)

    text = words(page)
    assert "the container needed more memory than there is. Try: --memory 8g" in text
    for absent in ("Summary", "Pictures", "could not be shown"):
        assert absent not in text
    assert "<table" not in page.read_text(encoding="utf-8")


def test_the_consensus_has_its_picture_and_its_place_in_the_viewer(example: OutFolder) -> None:
    assert "Consensus" not in words(write_report(example))
    shutil.copytree(example.method("half").labels, example.consensus_labels)

    page = write_report(example)

    html = page.read_text(encoding="utf-8")
    tile = re.search(r'<figure class="tile" data-method="consensus of the methods">.*?</figure>', html, re.DOTALL)
    assert tile is not None
    assert "<strong>Consensus of the methods</strong>" in tile[0]
    # Below it, dashed, the ground truth.
    assert tile[0].count('class="outline"') == tile[0].count('class="outline reference"') == 3
    assert '<input type="checkbox" value="consensus of the methods" checked>' in html


def test_without_the_images_the_outlines_are_shown(example: OutFolder) -> None:
    shutil.rmtree(Path(read_comparison(example)["input"]))

    page = write_report(example)

    assert "The image itself is not shown: there is no" in words(page)
    assert "data:image" not in page.read_text(encoding="utf-8")
    assert page.read_text(encoding="utf-8").count('class="outline') > 10


def test_a_label_image_that_cannot_be_read_is_told(example: OutFolder) -> None:
    (example.method("half").labels / "first.tif").write_bytes(b"II*\0")

    assert "The outline of half is not shown" in words(write_report(example))


def test_a_damaged_plane_is_told_and_the_others_are_shown(example: OutFolder) -> None:
    path = example.method("half").labels / "first.tif"
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages[2].dataoffsets[0]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * 8)

    page = write_report(example)

    assert "The outline of half has planes that cannot be read" in words(page)
    assert page.read_text(encoding="utf-8").count('data-method="half"') == 3


@pytest.mark.parametrize(("dtype", "outlines"), [(bool, 1), (np.float32, 2)])
def test_compressed_ground_truth_of_another_type_is_drawn(example: OutFolder, dtype: type, outlines: int) -> None:
    path = Path(read_comparison(example)["ground_truth"]) / "first.tif"
    truth = np.zeros(tifffile.imread(path).shape, np.uint8)
    truth[2:10, 5:20, 5:20], truth[2:10, 5:20, 20:35] = 1, 2
    tifffile.imwrite(path, truth.astype(dtype), compression="zlib", photometric="minisblack")

    drawn = gallery_of(example, read_comparison(example))[0].viewer

    assert drawn is not None
    assert drawn.outlines["ground truth"][5].count("M") == outlines


@pytest.mark.parametrize("text", ["0.0", "", "None", "0e0"])
def test_the_segmented_channel_is_read_as_the_method_reads_it(example: OutFolder, text: str) -> None:
    run = {"methods": {"exact": {"params": {"nuc_channel": text, "time_point": "1.0"}}}}
    example.run.write_text(json.dumps(run), encoding="utf-8")

    assert segmented_part(example) == (0 if text.startswith("0") else -1, 1)


def test_a_table_that_lacks_columns_costs_no_report(example: OutFolder) -> None:
    path = example.method("half").measurements / "first.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kept = [name for name in rows[0] if not name.startswith("centroid_z")]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, kept, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)

    assert "half" in words(write_report(example))


def test_the_number_of_true_nuclei_is_that_of_the_scores(example: OutFolder) -> None:
    comparison = read_comparison(example)
    # As recorded by the method, before its labels were corrected by hand and scored again.
    next(row for row in comparison["results"] if row["method"] == "exact")["nuclei"] = 99

    assert true_count(comparison, "first.tif") == 12


def test_names_are_no_markup(example: OutFolder) -> None:
    text = example.comparison.read_text(encoding="utf-8")
    comparison = json.loads(text.replace('"exact"', '"<script>alert(1)</script>"'))
    comparison["warnings"] = ["</style><b>bold</b>"]
    example.comparison.write_text(json.dumps(comparison), encoding="utf-8")

    html = write_report(example).read_text(encoding="utf-8")

    assert "<script>alert" not in html
    assert "<b>bold" not in html


def test_pictures_stop_where_the_page_is_full(example: OutFolder) -> None:
    comparison = read_comparison(example)
    sizes = [pictures.size for pictures in gallery_of(example, comparison)]

    shown = gallery_of(example, comparison, most_bytes=sum(sizes) - 1)

    assert len(sizes) == 2
    assert [pictures.volume["name"] for pictures in shown] == ["first.tif"]


def test_many_rows_leave_less_room_for_pictures(example: OutFolder) -> None:
    comparison = read_comparison(example)
    comparison["results"] *= 3000

    assert gallery_of(example, comparison) == []


def test_without_a_comparison_there_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(NucsegError, match="no comparison"):
        write_report(OutFolder(tmp_path))


def test_a_volume_without_room_for_a_viewer_says_how_to_see_it(example: OutFolder) -> None:
    comparison = read_comparison(example)
    comparison["volumes"] *= 2000

    (pictures, *_) = gallery_of(example, comparison, most_bytes=30_000)

    assert pictures.viewer is None
    assert any("nucseg view OUT/first.tif" in note for note in pictures.notes)
