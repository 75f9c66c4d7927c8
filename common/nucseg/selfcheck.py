"""``--check``: does the method run on this machine?"""

import time
from pathlib import Path

import numpy as np

from nucseg import __version__
from nucseg.cli import Check
from nucseg.environment import peak_memory_mib, pick_device, versions
from nucseg.errors import ENVIRONMENT, USAGE, NucsegError
from nucseg.failures import explain
from nucseg.labels import checked
from nucseg.method import Method, method_folder
from nucseg.models import fingerprint, resolve_model
from nucseg.progress import say
from nucseg.volume import Volume

SHAPE = (16, 64, 64)


def self_check(request: Check, method: Method) -> int:
    """Load the model and segment a tiny volume of balls; say what is there and what it took.

    A method whose weights the user brings is well without them.

    Raises
    ------
    NucsegError
        `ENVIRONMENT`, when it can't be done; `USAGE` for a wrong model.
    """
    from nucseg.machine import available_memory

    say(f"nucseg {method.name} {__version__}")
    say("versions: " + ", ".join(f"{name} {version}" for name, version in versions().items()))
    device = pick_device(request.device, request.params)
    say(f"memory: {available_memory() / 2**30:.1f} GiB free")
    model = resolve_model(method_folder(method.name), request.params.model)
    try:
        begun = time.monotonic()
        segmenter = method.load(model, request.params, device)
        loaded = time.monotonic()
        volume = volume_of_balls()
        labels = checked(segmenter.segment(volume, request.params, lambda fraction, text: None), SHAPE).labels
    except Exception as error:
        known = explain(error)
        if known.exit_code == USAGE and not request.params.model:
            # No model by default: the method comes without weights.
            say(f"note: no model was tried: {known}")
            say("ok")
            return 0
        code = known.exit_code if isinstance(error, NucsegError) else ENVIRONMENT
        raise NucsegError(f"the check failed: {known.cause}", known.hint, code) from None
    mark = fingerprint(model, segmenter.info)
    say(f"model: {mark['name']}, SHA-256 {mark['sha256']}, loaded in {loaded - begun:.1f} s")
    say(
        f"segmented a test volume of {' x '.join(map(str, SHAPE))} in {time.monotonic() - loaded:.1f} s: "
        f"{labels.max()} nuclei, at most {peak_memory_mib()} MiB of memory"
    )
    say("ok")
    return 0


def volume_of_balls() -> Volume:
    """Noise with bright balls of 10 voxels, which stand for nuclei; every run has the same."""
    places = np.indices(SHAPE) % 16 - 8
    balls = 800 * (np.linalg.norm(places, axis=0) < 5)
    noise = np.random.default_rng(0).integers(0, 200, SHAPE)
    return Volume((balls + noise).astype(np.uint16), (1.0, 1.0, 1.0), Path("balls"))
