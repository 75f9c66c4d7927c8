"""The small method of tests/methods, and a folder with two images."""

import signal

import pytest
from app_harness import METHODS, write_image


@pytest.fixture(autouse=True)
def threshold_method(monkeypatch):
    monkeypatch.setenv("NUCSEG_ROOT", str(METHODS))
    monkeypatch.setenv("NUCSEG_METHOD", "threshold")
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def folders(tmp_path):
    write_image(tmp_path / "in" / "a.tif", 1)
    write_image(tmp_path / "in" / "b (2) µ.tif", 2)
    return tmp_path / "in", tmp_path / "out"
