"""Batches of training samples, made by other processes while the network learns."""

import os
import pickle
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset

from nucseg.machine import usable_cores
from nucseg.training.params import TrainParams

Sample = tuple[np.ndarray, ...]

REPLAY = 256
"""Samples kept for replay."""

NEW_SHARE = 4
"""One patch in so many of a batch is new: on a CPU, making one costs as much as learning from it."""

WORKERS = 8
"""Most processes that make samples for a GPU."""

ARRAYS = ".samples"
"""File in the training's folder that holds the arrays of the function that makes samples, for as long as it runs."""

ALIGNMENT = 64


def batches(
    make_sample: Callable[[int], Sample],
    params: TrainParams,
    step: int,
    folder: Path,
    device: str,
    workers: int | None = None,
) -> Generator[tuple[np.ndarray, ...]]:
    """Batches from `step` on: one sample in `NEW_SHARE` is new, the others are drawn from the last `REPLAY`.

    A resumed run makes the samples of its replay memory again, so its batches are those of a run
    that was never cut. They don't depend on the number of workers.

    Parameters
    ----------
    make_sample : callable
        As for `nucseg.training.loop.fit`.
    params : TrainParams
    step : int
        Steps that are done already.
    folder : pathlib.Path
        Gets `ARRAYS` until the generator is closed.
    device : str
        Where the network learns.
    workers : int, optional
        Processes that make samples, by default `worker_count`; 0 makes them in this one.

    Yields
    ------
    tuple of numpy.ndarray
        Each array of a sample, stacked: (N, ...).
    """
    workers = worker_count(device) if workers is None else workers
    fresh = max(1, params.patches // NEW_SHARE)
    first = max(0, step * fresh - REPLAY)
    with _mapped(make_sample, folder / ARRAYS) if workers else nullcontext(make_sample) as make:
        loader = DataLoader(
            Samples(make, first, params.total_steps * fresh),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=8 if workers else None,
            collate_fn=_same,
            # A forked worker would hang in stardist's OpenMP loops once this process has run any.
            multiprocessing_context="spawn" if workers else None,
        )
        with _one_thread_each():
            samples = iter(loader)
        memory = deque[Sample](maxlen=REPLAY)
        for _ in range(first, step * fresh):
            memory.append(next(samples))
        while True:
            new = [next(samples) for _ in range(fresh)]
            memory.extend(new)
            rng = np.random.default_rng([params.seed, step])
            batch = new + [memory[i] for i in rng.integers(len(memory), size=params.patches - fresh)]
            yield tuple(np.stack(arrays) for arrays in zip(*batch, strict=True))
            step += 1


def worker_count(device: str) -> int:
    """Processes that make samples: a core each beside a training on a GPU, and one beside a training on the CPU."""
    return min(WORKERS, max(1, usable_cores() - 1)) if device == "cuda" else 1


class Samples(Dataset[Sample]):
    """Sample number i, made by a worker process."""

    def __init__(self, make: Callable[[int], Sample], start: int, stop: int) -> None:
        self.make, self.start, self.stop = make, start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, index: int) -> Sample:
        return self.make(self.start + index)


def _same(sample: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    return sample


class Mapped:
    """A function whose arrays are in a file: other processes get its path, and map it instead of holding a copy."""

    def __init__(self, function: Callable[..., Any], path: Path) -> None:
        self.function, self.path = function, path
        buffers: list[pickle.PickleBuffer] = []
        self.pickled = pickle.dumps(function, protocol=5, buffer_callback=buffers.append)
        self.places: list[slice] = []
        with path.open("wb") as file:
            for buffer in buffers:
                start = -(-file.tell() // ALIGNMENT) * ALIGNMENT
                file.seek(start)
                self.places.append(slice(start, start + file.write(buffer.raw())))

    def __call__(self, *arguments: Any) -> Any:
        """What the function gives."""
        return self.function(*arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return _load, (self.path, self.pickled, self.places)


def _load(path: Path, pickled: bytes, places: Sequence[slice]) -> Any:
    # An empty file can't be mapped.
    data = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.empty(0, np.uint8)
    return pickle.loads(pickled, buffers=[data[place] for place in places])


@contextmanager
def _mapped(function: Callable[..., Any], path: Path) -> Iterator[Callable[..., Any]]:
    try:
        yield Mapped(function, path)
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """For processes that are started meanwhile: samples are shared out among them, not the loops of each."""
    name = "OMP_NUM_THREADS"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before
