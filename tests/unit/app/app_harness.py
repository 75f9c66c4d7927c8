"""Runs the entrypoint as the containers run it, with a small method that really segments."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import tifffile

from nucseg import app

REPOSITORY = Path(__file__).resolve().parents[3]
METHODS = REPOSITORY / "tests" / "methods"


TRUTH = np.zeros((8, 32, 32), np.uint16)
TRUTH[2:6, 4:12, 4:12] = 1
TRUTH[2:6, 18:28, 18:28] = 2


def write_image(path, seed=0):
    noise = np.random.default_rng(seed).poisson(10, TRUTH.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = (noise + 200 * (TRUTH > 0)).astype(np.uint16)
    tifffile.imwrite(
        path, image, imagej=True, resolution=(2, 2), metadata={"axes": "ZYX", "spacing": 1.0, "unit": "um"}
    )


def run(folders, *words):
    return app.main(["--in", str(folders[0]), "--out", str(folders[1]), *words])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def record(out):
    return json.loads((out / "nucseg_run.json").read_text())


def status(out):
    return {entry["file"]: entry["status"] for entry in record(out)["images"]}


def process(*words, **environment):
    python = [sys.executable, "-m", "nucseg.app", *words]
    full = {**os.environ, "PYTHONPATH": str(REPOSITORY / "common"), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(python, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=full)


# --- what goes right
