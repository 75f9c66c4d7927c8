"""Scalar code compiled by numba. Import this where the code is needed: numba alone takes half a second."""

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any]) -> Any:
    """Compile with numba on first use, and keep the result on disk where there is a place for it.

    Compiled code lets other threads run. Write scalar loops: array expressions and reductions multiply
    the time of compilation.
    """
    try:
        return njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:  # numba found no writable folder
        return njit(nogil=True, error_model="numpy")(function)
