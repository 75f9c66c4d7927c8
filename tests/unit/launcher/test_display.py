"""Progress lines and the box, without a run."""

import pytest

from nucseg_launcher.box import show_failure
from nucseg_launcher.lines import LineSplitter
from nucseg_launcher.progress import parse_step


def test_a_progress_line_is_read():
    step = parse_step(" 37% image 2/3 b: 1.tif: tile 3/8, about 12 s left")
    assert step is not None
    assert (step.percent, step.image, step.images) == (37, 2, 3)
    assert (step.name, step.text, step.left, step.part) == ("b", "1.tif: tile 3/8", "about 12 s left", (3, 8))


def test_a_line_about_no_image_is_progress_too():
    step = parse_step("  5% step 150/3000: loss 0.31, about 3 min 2 s left")
    assert step is not None
    assert (step.percent, step.images, step.part, step.left) == (5, 0, (150, 3000), "about 3 min 2 s left")


@pytest.mark.parametrize("line", ["device: cpu", "at 50% of the memory", "250% image 1/1 a.tif: x", ""])
def test_other_lines_are_no_progress(line):
    assert parse_step(line) is None


def test_lines_come_whole_however_the_bytes_are_cut():
    text = "plain\nµm\r 10%\r\n\nlast".encode()
    for size in (1, 2, 3, 100):
        lines: list[str] = []
        splitter = LineSplitter(lines.append)
        for start in range(0, len(text), size):
            splitter.feed(text[start : start + size])
        splitter.close()
        assert [line for line in lines if line] == ["plain", "µm", " 10%", "last"]


def test_bytes_that_are_no_text_are_shown_and_a_line_without_end_does_not_grow_for_ever():
    lines: list[str] = []
    splitter = LineSplitter(lines.append)
    splitter.feed(b"\xff\xfe\n")
    for _ in range(30):
        splitter.feed(b"x" * 10_000)
    assert lines[0] == "\ufffd\ufffd"
    assert len(lines) > 1


def test_the_box_says_cause_remedy_and_log_in_this_order_and_breaks_no_path(capsys, tmp_path):
    log = tmp_path / ("long folder name " * 8) / "stderr.log"
    show_failure("it failed", "the cause", "the remedy", log, ["a.tif: one", "b [bold].tif: two"])
    text = capsys.readouterr().err
    places = [
        text.index(part) for part in ("it failed", "the cause", "a.tif: one", "b [bold].tif", "the remedy", str(log))
    ]
    assert places == sorted(places)
    assert "\x1b" not in text
