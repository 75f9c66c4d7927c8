"""The training loop: batches, schedule, averaging, checkpoints and the log, the same for every method.

A method gives a torch module, a function that makes sample number i, and a loss; nothing here
knows what the network predicts.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from nucseg.atomic import atomic_path
from nucseg.machine import keep_memory
from nucseg.method import Report
from nucseg.training.params import TrainParams

Sample = tuple[np.ndarray, ...]
Loss = Callable[[Any, tuple[torch.Tensor, ...]], dict[str, torch.Tensor]]

REPLAY = 256
"""Samples kept for replay."""

NEW_SHARE = 4
"""One patch in so many of a batch is new: on a CPU, making one costs as much as learning from it."""

INTERVAL = 50
"""Steps between two lines of the log, each with a checkpoint."""

AVERAGING = 0.998
"""Decay per step of the exponential moving average of the weights, which is what gets saved."""


class Samples(Dataset[Sample]):
    """Sample number i, made by a worker process."""

    def __init__(self, make: Callable[[int], Sample], start: int, stop: int) -> None:
        self.make, self.start, self.stop = make, start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, index: int) -> Sample:
        return self.make(self.start + index)


def fit(
    module: torch.nn.Module,
    loss: Loss,
    make_sample: Callable[[int], Sample],
    params: TrainParams,
    folder: Path,
    device: str,
    report: Report,
    workers: int = 1,
) -> dict[str, torch.Tensor]:
    """Train a module and return its averaged weights.

    Parameters
    ----------
    module : torch.nn.Module
        Trained in place.
    loss : callable
        From the module's output and the sample's targets to named terms; their sum is minimised.
    make_sample : callable
        From a number to float32 arrays: the input (C, Z, Y, X), then the targets. A function of
        the number alone, so that runs repeat and resume.
    params : TrainParams
    folder : pathlib.Path
        Gets `checkpoint.pt` (a run with one resumes from it) and `training.tsv`.
    device : str
        ``cpu`` or ``cuda``.
    report : Report
    workers : int
        Processes that make samples.

    Returns
    -------
    dict of str to torch.Tensor
        State dict of the moving average of the weights, on the CPU.
    """
    keep_memory()
    module.to(device=device, memory_format=torch.channels_last_3d)
    optimiser = torch.optim.AdamW(module.parameters(), lr=params.learning_rate, weight_decay=1e-4)
    average = {key: value.detach().clone() for key, value in module.state_dict().items()}
    checkpoint, log = folder / "checkpoint.pt", folder / "training.tsv"
    step, spent = 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        module.load_state_dict(state["module"])
        optimiser.load_state_dict(state["optimiser"])
        average, step, spent = state["average"], state["step"], state["seconds"]

    begun, window = time.monotonic() - spent, deque[dict[str, float]](maxlen=INTERVAL)
    batches = _batches(make_sample, params, step, workers)
    module.train()
    while (done := _fraction(step, time.monotonic() - begun, params)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = params.learning_rate * _schedule(done, step)
        torch.manual_seed((params.seed << 32) + step)
        inputs, *targets = (torch.from_numpy(array).to(device) for array in next(batches))
        inputs = inputs.contiguous(memory_format=torch.channels_last_3d)
        with torch.autocast(device, torch.bfloat16):
            output = module(inputs)
        terms = loss(output, tuple(targets))
        optimiser.zero_grad()
        sum(terms.values()).backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
        _update_average(average, module, step)
        step += 1
        window.append({name: float(term.detach()) for name, term in terms.items()})
        if step % INTERVAL == 0:
            seconds = time.monotonic() - begun
            means = {name: float(np.mean([terms[name] for terms in window])) for name in window[0]}
            _log(log, step, seconds, means)
            with atomic_path(checkpoint) as part:
                state = {"module": module.state_dict(), "optimiser": optimiser.state_dict(), "average": average}
                torch.save(state | {"step": step, "seconds": seconds}, part)
            report(done, f"step {step}, " + ", ".join(f"{name} {value:.4f}" for name, value in means.items()))
    return {key: value.cpu().contiguous() for key, value in average.items()}


def _batches(
    make_sample: Callable[[int], Sample], params: TrainParams, step: int, workers: int
) -> Iterator[tuple[np.ndarray, ...]]:
    """Batches from `step` on: one in `NEW_SHARE` is new, the others are drawn from the last `REPLAY`.

    A resumed run makes the samples of its replay memory again, so its batches are those of a run
    that was never cut.
    """
    fresh = max(1, params.patches // NEW_SHARE)
    first = max(0, step * fresh - REPLAY)
    loader = iter(
        DataLoader(
            Samples(make_sample, first, params.steps * fresh),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=8 if workers else None,
            collate_fn=_same,
            # A forked worker would hang in stardist's OpenMP loops once this process has run any.
            multiprocessing_context="spawn" if workers else None,
        )
    )
    memory = deque[Sample](maxlen=REPLAY)
    for _ in range(first, step * fresh):
        memory.append(next(loader))
    while True:
        new = [next(loader) for _ in range(fresh)]
        memory.extend(new)
        rng = np.random.default_rng([params.seed, step])
        batch = new + [memory[i] for i in rng.integers(len(memory), size=params.patches - fresh)]
        yield tuple(np.stack(arrays) for arrays in zip(*batch, strict=True))
        step += 1


def _same(sample: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    return sample


def _fraction(step: int, seconds: float, params: TrainParams) -> float:
    by_time = seconds / (60 * params.minutes) if params.minutes else 0.0
    return max(step / params.steps, by_time)


def _schedule(done: float, step: int) -> float:
    """Linear warm-up over 100 steps, then a cosine down to 1 %."""
    return min(1.0, (step + 1) / 100) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


@torch.no_grad()
def _update_average(average: dict[str, torch.Tensor], module: torch.nn.Module, step: int) -> None:
    decay = min(AVERAGING, (step + 1) / (step + 10))
    for key, value in module.state_dict().items():
        if value.is_floating_point():
            average[key].lerp_(value, 1 - decay)
        else:
            average[key].copy_(value)


def _log(path: Path, step: int, seconds: float, terms: dict[str, float]) -> None:
    header = "" if path.exists() else "\t".join(["step", "seconds", *terms]) + "\n"
    row = "\t".join([str(step), f"{seconds:.1f}", *(f"{value:.5f}" for value in terms.values())])
    with path.open("a") as file:
        file.write(header + row + "\n")
