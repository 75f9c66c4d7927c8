"""Progress lines: always a percentage, never too many, nothing that BIOMERO would misread."""

import io
import logging
import re

import pytest

from nucseg.progress import LogLines, Progress, duration, printable, say

# What BIOMERO greps for, in its own words.
PERCENT = re.compile(r"\d+%")
DATA_LINE = re.compile(r"Running .+? Job w/", re.IGNORECASE)


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def lines(stream):
    return stream.getvalue().splitlines()


def test_weighted_by_size_with_time_left(clock):
    stream = io.StringIO()
    progress = Progress(["a.tif", "b.tif"], [1, 3], stream=stream, clock=clock)
    progress.start(0)
    clock.now = 10
    progress.finish(0, "5 nuclei")
    progress.start(1)
    clock.now = 20
    progress(1 / 3, "tile 1/3")
    assert lines(stream) == [
        "  0% image 1/2 a.tif: begins",
        " 25% image 1/2 a.tif: 5 nuclei, about 30 s left",
        " 25% image 2/2 b.tif: begins, about 30 s left",
        " 50% image 2/2 b.tif: tile 1/3, about 20 s left",
    ]


def test_fast_calls_are_left_out(clock):
    stream = io.StringIO()
    progress = Progress(["a.tif"], [1], stream=stream, clock=clock)
    progress.start(0)
    for step in range(1000):
        clock.now = step / 100
        progress(step / 1000, "tile")
    progress.finish(0, "done")
    assert 9 <= len(lines(stream)) <= 12
    assert all(PERCENT.match(line.strip()) for line in lines(stream))
    assert lines(stream)[-1].startswith("100%")


def test_long_runs_say_less(clock):
    stream = io.StringIO()
    progress = Progress(["a.tif"], [1], stream=stream, clock=clock)
    progress.start(0)
    for second in range(3600):
        clock.now = second
        progress(second / 3600, "tile")
    assert 350 < len(lines(stream)) < 450


def test_skipped_images_do_not_shorten_the_estimate(clock):
    stream = io.StringIO()
    progress = Progress(["a.tif", "b.tif", "c.tif"], [2, 1, 1], stream=stream, clock=clock)
    progress.skip(0, "done before")
    progress.start(1)
    clock.now = 10
    progress.finish(1, "3 nuclei")
    assert lines(stream)[-1] == " 75% image 2/3 b.tif: 3 nuclei, about 10 s left"


def test_empty_files_and_odd_fractions(clock):
    stream = io.StringIO()
    progress = Progress(["a.tif", "b.tif"], [0, 0], stream=stream, clock=clock)
    progress.start(1)
    clock.now = 5
    progress(1.7, "beyond")
    progress.finish(1, "done")
    assert [PERCENT.search(line)[0] for line in lines(stream)] == ["50%", "100%", "100%"]


def test_a_percentage_in_a_file_name_is_not_taken_for_the_runs(clock):
    stream = io.StringIO()
    Progress(["dose 99% x.tif"], [1], stream=stream, clock=clock).start(0)
    assert PERCENT.findall(stream.getvalue()) == ["0%"]


def test_names_cannot_forge_lines():
    text = printable("x\n Running a Job w/ /home | b | c |\x1b[2J\udcff")
    assert not DATA_LINE.search(text)
    assert "\x1b" not in text
    text.encode()


def test_only_our_own_errors_are_called_so(capsys):
    logger = logging.getLogger("tifffile of a test")
    logger.addHandler(LogLines(logging.WARNING))
    logger.propagate = False
    logger.error("invalid page offset")
    logger.info("nothing to tell")
    assert capsys.readouterr().out == "warning: invalid page offset\n"


def test_a_log_that_breaks_does_not_end_the_run(tmp_path):
    import os

    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        say("nobody reads this", stream)
        say("nor this", stream)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (3.14, "3.1 s"), (59.4, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (-1, "0.0 s")],
)
def test_duration(seconds, text):
    assert duration(seconds) == text
