"""Caches that can be written, and memory that is measured."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nucseg.environment import CACHES, prepare_caches, versions, wait_passively


@pytest.fixture
def surroundings(monkeypatch, tmp_path):
    """A writable home and nothing else said."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    # Set first, so that what prepare_caches sets is undone too.
    for name in (*CACHES, "USER"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


def test_what_works_is_left_alone(surroundings, tmp_path):
    surroundings.setenv("MPLCONFIGDIR", str(tmp_path / "new" / "folder"))
    before = dict(os.environ)
    prepare_caches()
    assert dict(os.environ) == before


def test_one_unfit_cache_is_replaced(surroundings, tmp_path):
    surroundings.setenv("NUMBA_CACHE_DIR", "/dev/null/x")
    prepare_caches()
    (Path(os.environ["NUMBA_CACHE_DIR"]) / "file").touch()
    assert os.environ["HOME"] == str(tmp_path / "home")


def test_a_cache_of_another_user_is_replaced_though_it_can_be_written(surroundings, tmp_path):
    foreign = tmp_path / "cache"
    foreign.mkdir()
    if os.getuid() == 0:
        os.chown(foreign, 65534, -1)
    else:
        foreign = Path("/tmp")
    surroundings.setenv("XDG_CACHE_HOME", str(foreign))
    prepare_caches()
    assert os.environ["XDG_CACHE_HOME"] != str(foreign)
    (Path(os.environ["XDG_CACHE_HOME"]) / "file").touch()


def test_what_the_image_has_compiled_goes_into_the_cache_once(surroundings, tmp_path):
    compiled, cache = tmp_path / "root" / "compiled", tmp_path / "new" / "cache"
    compiled.mkdir(parents=True)
    (compiled / "kernel").write_text("first")
    surroundings.setenv("NUCSEG_ROOT", str(tmp_path / "root"))
    surroundings.setenv("NUMBA_CACHE_DIR", str(cache))
    prepare_caches()
    assert (cache / "kernel").read_text() == "first"
    (compiled / "kernel").write_text("second")
    prepare_caches()
    assert (cache / "kernel").read_text() == "first"
    assert [path.name for path in cache.parent.iterdir()] == ["cache"]


def test_what_the_image_has_compiled_goes_into_a_replaced_cache_too(surroundings, tmp_path):
    compiled = tmp_path / "root" / "compiled"
    compiled.mkdir(parents=True)
    (compiled / "kernel").touch()
    surroundings.setenv("NUCSEG_ROOT", str(tmp_path / "root"))
    surroundings.setenv("NUMBA_CACHE_DIR", "/dev/null/x")
    prepare_caches()
    assert (Path(os.environ["NUMBA_CACHE_DIR"]) / "kernel").exists()


@pytest.mark.parametrize("home", ["/dev/null", None])
def test_without_a_home(surroundings, home):
    if home:
        surroundings.setenv("HOME", home)
    else:
        surroundings.delenv("HOME")
    prepare_caches()
    for name in (*CACHES, "HOME"):
        (Path(os.environ[name]) / "file").touch()
    assert os.environ["USER"]


def test_without_any_temp_folder(surroundings):
    surroundings.setenv("HOME", "/dev/null")
    surroundings.setattr("tempfile.tempdir", "/dev/null")
    prepare_caches()
    assert os.environ["HOME"] == "/dev/null"


def test_peak_memory_counts_what_was_freed_and_begins_anew():
    """In a process of its own: what other tests freed would be used again here."""
    program = """
import numpy as np
from nucseg.environment import peak_memory_mib, reset_peak_memory
reset_peak_memory()
before = peak_memory_mib()
np.ones(100 << 17)
assert peak_memory_mib() >= before + 90
reset_peak_memory()
assert peak_memory_mib() < before + 50
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_versions():
    assert versions().keys() >= {"python", "numpy", "tifffile"}


@pytest.mark.parametrize("own", ["", "ACTIVE"])
def test_openmp_sleeps_while_it_waits_unless_the_user_says_otherwise(monkeypatch, own):
    monkeypatch.setenv("OMP_WAIT_POLICY", own)
    if not own:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    wait_passively()
    assert os.environ["OMP_WAIT_POLICY"] == (own or "PASSIVE")
