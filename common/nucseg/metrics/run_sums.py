"""Sums over the runs of equal labels along X, in hash tables: one pass, on all cores, with little memory.

Runs are found without a branch per voxel, and only where one begins is anything looked up. Compiled by numba: import
this module where it is needed.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from nucseg.compiled import compiled
from nucseg.machine import usable_cores
from nucseg.volume import slabs

OUT_OF_RANGE = "labels must lie between 0 and 4294967295"

CHUNK = 1 << 14
"""Voxels whose runs are found at a time."""

_SLAB_VOXELS = 1 << 21
"""What one core takes at a time; copied only where labels do not lie in a row, or have 8 bytes."""


class Sums:
    """Sums per key over the runs of label images that come in blocks.

    Parameters
    ----------
    kernel : callable
        `add_pairs` or `add_objects`.
    columns : int
        Numbers per key.
    """

    def __init__(self, kernel: Callable[..., int], columns: int) -> None:
        self._kernel = kernel
        self._tables = [_Table(columns) for _ in range(usable_cores())]

    def add(self, shape: tuple[int, ...], arguments: Callable[[slice], tuple[Any, ...]]) -> None:
        """Add the runs of a block of this shape; `arguments` are the kernel's first ones, for a slice of planes.

        Raises
        ------
        ValueError
            A label is below 0.
        """
        pieces = list(slabs(shape, _SLAB_VOXELS))

        def work(table: "_Table", share: list[slice]) -> None:
            for piece in share:
                table.add(self._kernel, *arguments(piece))

        shares = [pieces[part :: len(self._tables)] for part in range(len(self._tables))]
        with ThreadPoolExecutor(len(self._tables)) as pool:
            list(pool.map(work, self._tables, shares))

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Keys (uint64) and their rows (int64), each key up to once per core."""
        filled = [(table.keys[there], table.rows[there]) for table in self._tables if (there := table.keys > 0).any()]
        if not filled:
            return self._tables[0].keys[:0], self._tables[0].rows[:0]
        keys, rows = zip(*filled, strict=True)
        return np.concatenate(keys), np.concatenate(rows)


class _Table:
    """Rows by key, in a power of 2 of slots of which half stay empty."""

    def __init__(self, columns: int) -> None:
        self.used = np.zeros(1, np.int64)
        self.keys, self.rows = _slots(4 * CHUNK, columns)
        self._begins, self._starts = np.zeros(CHUNK, np.uint8), np.zeros(CHUNK + 8, np.uint64)

    def add(self, kernel: Callable[..., int], labels: np.ndarray, *others: Any) -> None:
        done = 0
        while done < labels.size:
            scratch = self._begins, self._begins.view(np.uint64), self._starts
            done = kernel(labels, *others, done, *scratch, self.keys, self.rows, self.used)
            if done < 0:
                raise ValueError(OUT_OF_RANGE)
            if done < labels.size:
                small = self.keys, self.rows
                self.keys, self.rows = _slots(2 * len(self.keys), self.rows.shape[1])
                move(*small, self.keys, self.rows)


def _slots(number: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(number, np.uint64), np.zeros((number, columns), np.int64)


def unsigned(labels: np.ndarray) -> np.ndarray:
    """Labels as a kernel wants them: unsigned, of 2 or 4 bytes, in order of memory; a view where they are so.

    Raises
    ------
    ValueError
        A label of 8 bytes is below 0 or above 2**32 - 1.
    """
    size = labels.dtype.itemsize
    if size == 8 and labels.size and (labels.min() < 0 or labels.max() > 0xFFFFFFFF):
        raise ValueError(OUT_OF_RANGE)
    if size in (1, 8):
        labels = labels.astype(np.int16 if size == 1 else np.uint32)
    return np.ascontiguousarray(labels).view(np.uint16 if labels.dtype.itemsize == 2 else np.uint32)


def sign_bit(labels: np.ndarray) -> int:
    """The bit that is set in `unsigned` labels below 0."""
    bits = {"int8": 16, "int16": 16, "int32": 32}.get(labels.dtype.name, 0)
    return 1 << bits >> 1


@compiled
def run_starts(true, pred, width, begin, end, begins, words, starts):  # type: ignore[no-untyped-def]
    """Write where runs of equal pairs begin in [begin, end), a chunk at most, and `end`; returns their number.

    A run ends with its row, of `width` voxels, and with its chunk.
    """
    one, first, last = np.uint64(1), np.uint64(begin), np.uint64(end)
    for i in range(first + one, last):
        begins[i - first] = (true[i] != true[i - one]) | (pred[i] != pred[i - one])
    begins[0] = 1
    for k in range(np.int64(width - begin % width), end - begin, width):
        begins[k] = 1
    found = np.uint64(0)
    for word in range(np.uint64((end - begin + 7) // 8)):
        if words[word] != 0:
            for k in range(word * np.uint64(8), word * np.uint64(8) + np.uint64(8)):
                starts[found] = first + k
                found += np.uint64(begins[k])
    while starts[found - one] >= last:
        found -= one
    starts[found] = last
    return np.int64(found)


@compiled
def slot_of(key, keys):  # type: ignore[no-untyped-def]
    """Where a key is, or the empty slot for it."""
    one, last = np.uint64(1), np.uint64(len(keys) - 1)
    slot = ((key * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & last
    while keys[slot] != key and keys[slot] != 0:
        slot = (slot + one) & last
    return slot


@compiled
def move(keys, rows, new_keys, new_rows):  # type: ignore[no-untyped-def]
    """Put everything into a larger table."""
    for k in range(len(keys)):
        if keys[k] != 0:
            slot = slot_of(keys[k], new_keys)
            new_keys[slot] = keys[k]
            for column in range(rows.shape[1]):
                new_rows[slot, column] = rows[k, column]


@compiled
def add_pairs(true, pred, signs, done, begins, words, starts, keys, rows, used):  # type: ignore[no-untyped-def]
    """Add up the voxels of each pair (true << 32 | pred), but for (0, 0), from voxel `done` of two flat arrays on.

    Returns where it stopped: at the end, where the table might get too full, or -1 for a pair with one of `signs`.
    """
    n = len(true)
    for begin in range(done, n, CHUNK):
        found = run_starts(true, pred, n, begin, min(begin + CHUNK, n), begins, words, starts)
        if 2 * (used[0] + found) > len(keys):
            return begin
        for run in range(found):
            first = starts[run]
            key = (np.uint64(true[first]) << np.uint64(32)) | np.uint64(pred[first])
            if key != 0:
                if key & np.uint64(signs) != 0:
                    return -1
                slot = slot_of(key, keys)
                if keys[slot] == 0:
                    keys[slot] = key
                    used[0] += 1
                rows[slot, 0] += np.int64(starts[run + 1] - first)
    return n


@compiled
def add_objects(labels, plane, signs, done, begins, words, starts, keys, rows, used):  # type: ignore[no-untyped-def]
    """Add up each label's size and (twice) its coordinates, and keep its first and last corner, from `done` on.

    `labels` are planes ZYX, the first of which is number `plane`. Returns the same as `add_pairs`.
    """
    flat, n = labels.ravel(), labels.size
    height, width = labels.shape[1], labels.shape[2]
    for begin in range(done, n, CHUNK):
        found = run_starts(flat, flat, width, begin, min(begin + CHUNK, n), begins, words, starts)
        if 2 * (used[0] + found) > len(keys):
            return begin
        for run in range(found):
            first = np.int64(starts[run])
            key = np.uint64(flat[first])
            if key == 0:
                continue
            if key & np.uint64(signs) != 0:
                return -1
            size = np.int64(starts[run + 1]) - first
            line = first // width
            x = first - line * width
            z = line // height
            y = line - z * height
            z += plane
            slot = slot_of(key, keys)
            if keys[slot] == 0:
                keys[slot] = key
                used[0] += 1
                rows[slot, 4], rows[slot, 5], rows[slot, 6] = z, y, x
            rows[slot, 0] += size
            rows[slot, 1] += 2 * z * size
            rows[slot, 2] += 2 * y * size
            rows[slot, 3] += (2 * x + size - 1) * size
            rows[slot, 4] = min(rows[slot, 4], z)
            rows[slot, 5] = min(rows[slot, 5], y)
            rows[slot, 6] = min(rows[slot, 6], x)
            rows[slot, 7] = max(rows[slot, 7], z)
            rows[slot, 8] = max(rows[slot, 8], y)
            rows[slot, 9] = max(rows[slot, 9], x + size - 1)
    return n
