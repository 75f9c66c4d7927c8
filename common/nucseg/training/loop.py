"""The training loop: batches, schedule, averaging, checkpoints and the log, the same for every method.

A method gives a torch module, a function that makes sample number i, and a loss; nothing here
knows what the network predicts.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nucseg.errors import NucsegError
from nucseg.machine import keep_memory
from nucseg.method import Report
from nucseg.progress import say
from nucseg.runtime import gains_by_16_bits
from nucseg.training.checkpoint import CHECKPOINT, read_checkpoint, write_checkpoint
from nucseg.training.curves import Curves
from nucseg.training.params import TrainParams
from nucseg.training.samples import Sample, batches

Loss = Callable[[Any, tuple[torch.Tensor, ...]], dict[str, torch.Tensor]]

INTERVAL = 50
"""Steps between two lines of the log, each with a checkpoint."""

OVERFLOWS = 20
"""So many steps in a row without finite gradients end a run."""

COUNTS = ("step", "checked", "best_step", "stale")
"""Of steps, of the last validation and the best one, and of validations since: as a checkpoint names them."""

AVERAGING = 0.998
"""Decay per step of the exponential moving average of the weights, which is what gets saved."""


def fit(
    module: torch.nn.Module,
    loss: Loss,
    make_sample: Callable[[int], Sample],
    params: TrainParams,
    settings: Mapping[str, Any],
    folder: Path,
    device: str,
    report: Report,
    validate: Callable[[dict[str, torch.Tensor]], float] | None = None,
    workers: int | None = None,
) -> dict[str, torch.Tensor]:
    """Train a module and return its best weights.

    Parameters
    ----------
    module : torch.nn.Module
        Trained in place.
    loss : callable
        From the module's output and the sample's targets to named terms; their sum is minimised.
    make_sample : callable
        From a number to float32 arrays: the input (C, Z, Y, X) or (C, Y, X), then the targets. A
        function of the number alone, so that runs repeat and resume.
    params : TrainParams
    settings : mapping
        All that the training is told, as for `nucseg.training.checkpoint`: a run that resumes has the same.
    folder : pathlib.Path
        Gets `checkpoint.pt` (the last state and the best weights; a run with one resumes from it),
        `training.tsv` and `training.png`.
    device : str
        ``cpu`` or ``cuda``.
    report : Report
    validate : callable, optional
        From averaged weights to a score, the higher the better; called every
        ``params.validate_every`` steps and at the end, and before the first one where the weights are those
        of a model to start from. Without it, the last weights are the best.
    workers : int, optional
        As for `nucseg.training.samples.batches`.

    Returns
    -------
    dict of str to torch.Tensor
        State dict of the moving average of the weights, on the CPU.

    Raises
    ------
    NucsegError
        The training has diverged; or the checkpoint is of another one (`read_checkpoint`).
    """
    keep_memory()
    run = _Run(module, params, settings, folder, device, validate)
    if params.from_ and not run.step:
        run.check(report, 0.0)
    with closing(batches(make_sample, params, run.step, folder, device, workers)) as source:
        while (done := _fraction(run.step, run.seconds, params)) < 1 and not run.is_stale:
            run.learn([torch.from_numpy(array).to(device) for array in next(source)], loss, done)
            if run.step % params.validate_every == 0:
                run.check(report, done)
            if run.step % INTERVAL == 0:
                run.save()
                report(done, run.log())
    if run.checked < run.step:
        run.check(report, 1.0)
    report(1.0, run.log())
    run.save()
    if params.from_ and not run.best_step:
        say("warning: no validation was better than that of the model to start from, whose weights are kept")
    return run.best()


class _Run:
    """The state of a training run, as its checkpoint holds it."""

    def __init__(
        self,
        module: torch.nn.Module,
        params: TrainParams,
        settings: Mapping[str, Any],
        folder: Path,
        device: str,
        validate: Callable[[dict[str, torch.Tensor]], float] | None,
    ) -> None:
        self.module, self.params, self.device, self.validate = module, params, device, validate
        self.settings, self.checkpoint, self.curves = settings, folder / CHECKPOINT, Curves(folder)
        parameters = list(module.parameters())
        self.mixed = gains_by_16_bits(device)
        self.layout = torch.channels_last_3d if any(p.ndim == 5 for p in parameters) else torch.channels_last
        module.to(device=device, memory_format=self.layout)
        self.optimiser = torch.optim.AdamW(parameters, lr=params.learning_rate, weight_decay=1e-4)
        self.average = {key: value.detach().clone() for key, value in module.state_dict().items()}
        self.step = self.checked = self.best_step = self.stale = self.overflows = 0
        self.score, self.best_average = -1.0, self.average
        spent = 0.0
        if self.checkpoint.exists():
            state = read_checkpoint(self.checkpoint, settings, device)
            module.load_state_dict(state["module"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.average, self.best_average, self.score = state["average"], state["best"], state["score"]
            self.step, self.checked, self.best_step, self.stale = (state[name] for name in COUNTS)
            spent = state["seconds"]
            self.curves.cut(self.step)
        self.begun = time.monotonic() - spent
        self.window = deque[dict[str, float]](maxlen=INTERVAL)
        module.train()

    @property
    def seconds(self) -> float:
        """Time spent on training, that of the runs before included."""
        return time.monotonic() - self.begun

    @property
    def is_stale(self) -> bool:
        """Whether so many validations brought nothing better that the run should stop."""
        return 0 < self.params.patience <= self.stale

    def learn(self, batch: list[torch.Tensor], loss: Loss, done: float) -> None:
        """One step of the optimiser."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.params.learning_rate * _schedule(done, self.step)
        torch.manual_seed((self.params.seed << 32) + self.step)
        inputs, *targets = batch
        inputs = inputs.contiguous(memory_format=self.layout)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.mixed):
            output = self.module(inputs)
        terms = loss(output, tuple(targets))
        self.optimiser.zero_grad()
        sum(terms.values()).backward()
        norm = torch.nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        # One overflow in 16 bits must not end the network; many in a row are no accident.
        self.overflows = 0 if torch.isfinite(norm) else self.overflows + 1
        if self.overflows >= OVERFLOWS:
            cause = f"the gradients are not finite since {self.overflows} steps: the training has diverged"
            raise NucsegError(cause, f"a lower learning rate: --learning_rate {self.params.learning_rate / 10:g}")
        if not self.overflows:
            self.optimiser.step()
        _update_average(self.average, self.module, self.step)
        self.step += 1
        self.window.append({name: float(term.detach()) for name, term in terms.items()})

    def check(self, report: Report, done: float) -> None:
        """Score the averaged weights and keep them if they are the best so far."""
        self.checked = self.step
        if self.validate is None:
            self.best_average, self.best_step = self.average, self.step
            return
        report(done, f"step {self.step}, validating")
        score = self.validate({key: value.cpu() for key, value in self.average.items()})
        self.module.train()
        self.curves.add_score(self.step, score)
        self.stale += 1
        if score > self.score:
            self.score, self.best_step, self.stale = score, self.step, 0
            self.best_average = {key: value.clone() for key, value in self.average.items()}

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        state = {"module": self.module.state_dict(), "optimiser": self.optimiser.state_dict()}
        weights = {"average": self.average, "best": self.best_average}
        counts = dict(zip(COUNTS, (self.step, self.checked, self.best_step, self.stale), strict=True))
        state |= {**weights, **counts, "score": self.score, "seconds": self.seconds}
        write_checkpoint(self.checkpoint, state, self.settings)

    def log(self) -> str:
        """Add a line to the log; the same in words."""
        if not self.window:
            return f"step {self.step}"
        means = {name: float(np.mean([terms[name] for terms in self.window])) for name in self.window[0]}
        self.curves.add(self.step, self.seconds, means)
        words = [f"step {self.step}", *(f"{name} {value:.4f}" for name, value in means.items())]
        return ", ".join(words + [f"best F1 {self.score:.3f} at step {self.best_step}"] * (self.score >= 0))

    def best(self) -> dict[str, torch.Tensor]:
        """The best weights, on the CPU."""
        return {key: value.cpu().contiguous() for key, value in self.best_average.items()}


def _fraction(step: int, seconds: float, params: TrainParams) -> float:
    by_time = seconds / (60 * params.minutes) if params.minutes else 0.0
    return max(step / params.total_steps, by_time)


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
