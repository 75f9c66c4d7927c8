"""Which method is best, and how sure that is: F1 with bootstrap over nuclei and volumes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

REPLICATES = 2000
INTERVAL = (2.5, 97.5)
"""Percentiles of the replicates that are reported."""


@dataclass(frozen=True)
class Found:
    """What several methods found of one volume's reference nuclei.

    Attributes
    ----------
    matched : numpy.ndarray
        (nuclei, methods), bool: whether the method has the nucleus.
    spurious : numpy.ndarray
        (methods,): objects of each method that are no nucleus of the reference.
    """

    matched: np.ndarray
    spurious: np.ndarray


@dataclass(frozen=True)
class Rank:
    """A method's place.

    Attributes
    ----------
    method : str
    mean : float
        F1, the mean of the volumes.
    low, high : float
        95% interval of the mean.
    best_probability : float
        Share of the replicates in which no method has a higher mean; ties are shared.
    """

    method: str
    mean: float
    low: float
    high: float
    best_probability: float


def f1_of(found: Found) -> np.ndarray:
    """(methods,): F1 of each method on one volume; 1 where there is nothing to find and nothing was found."""
    return _f1(np.count_nonzero(found.matched, axis=0), len(found.matched), found.spurious)


def _f1(matched: np.ndarray, nuclei: int, spurious: np.ndarray) -> np.ndarray:
    whole = nuclei + matched + spurious
    return np.where(whole > 0, 2 * matched / np.maximum(whole, 1), 1.0)


def bootstrap(volumes: Sequence[Found], rng: np.random.Generator, replicates: int = REPLICATES) -> np.ndarray:
    """Mean F1 of each method over resampled volumes of resampled nuclei.

    All methods see the same resampled nuclei, so that a difference between two is as sure as it can be.
    Drawing nuclei one by one is the same as drawing how often each pattern of hits occurs, which costs
    nothing. With one volume only the nuclei vary: what another specimen would give is then unknown.

    Parameters
    ----------
    volumes : sequence of Found
        At least one.
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray
        (replicates, methods).
    """
    scores = np.stack([_resampled(found, rng, replicates) for found in volumes])
    chosen = rng.integers(len(volumes), size=(len(volumes), replicates))
    return scores[chosen, np.arange(replicates)].mean(axis=0)


def _resampled(found: Found, rng: np.random.Generator, replicates: int) -> np.ndarray:
    """(replicates, methods): F1 on one volume whose nuclei are drawn again."""
    nuclei = len(found.matched)
    hits = np.zeros((replicates, found.matched.shape[1]), np.int64)
    if nuclei:
        patterns, times = np.unique(found.matched, axis=0, return_counts=True)
        hits = rng.multinomial(nuclei, times / nuclei, size=replicates) @ patterns.astype(np.int64)
    predicted = np.count_nonzero(found.matched, axis=0) + found.spurious
    share = found.spurious / np.maximum(predicted, 1)
    return _f1(hits, nuclei, rng.binomial(predicted, share, size=hits.shape))


def rank(methods: Sequence[str], means: Sequence[float], replicates: np.ndarray) -> list[Rank]:
    """Order methods by their means, the best first.

    Parameters
    ----------
    methods : sequence of str
    means : sequence of float
        What was measured.
    replicates : numpy.ndarray
        (replicates, methods): what resampling gave.
    """
    low, high = np.percentile(replicates, INTERVAL, axis=0)
    wins = replicates == replicates.max(axis=1, keepdims=True)
    best = (wins / wins.sum(axis=1, keepdims=True)).mean(axis=0)
    rows = [Rank(m, float(means[i]), float(low[i]), float(high[i]), float(best[i])) for i, m in enumerate(methods)]
    return sorted(rows, key=lambda row: -row.mean)
