"""Exceptions of other programs, explained."""

import errno

import pytest

from nucseg.errors import ENVIRONMENT, FAILED_IMAGE, NucsegError
from nucseg.failures import explain


def test_our_own_pass_through():
    error = NucsegError("cause", "hint", ENVIRONMENT)
    assert explain(error) is error


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (MemoryError(), "the memory is too small"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            "the memory is too small",
        ),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), "the memory is too small"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), "the GPU's memory is too small"),
        (OSError(errno.ENOSPC, "No space left on device", "/out/a"), "the disk is full (/out/a)"),
        (OSError(errno.EROFS, "Read-only file system"), "read-only"),
        (PermissionError(errno.EACCES, "Permission denied", "/in/a"), "no permission to read or write (/in/a)"),
    ],
)
def test_known_ones_have_a_cause_a_hint_and_no_traceback(error, cause, capsys):
    found = explain(error)
    assert cause in found.cause
    assert found.hint
    assert capsys.readouterr().err == ""


def test_the_unknown_has_its_traceback_on_stderr(capsys):
    try:
        raise KeyError("conv.weight\nsecond line")
    except KeyError as error:
        found = explain(error)
    assert found.cause == r"unexpected error: KeyError: 'conv.weight\nsecond line'"
    assert found.exit_code == FAILED_IMAGE
    assert "test_failures.py" in capsys.readouterr().err
