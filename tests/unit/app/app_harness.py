"""Runs the entrypoint as the containers run it, with a small method that really segments."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import tifffile
import zarr

from nucseg import app

REPOSITORY = Path(__file__).resolve().parents[3]
METHODS = REPOSITORY / "tests" / "methods"


TRUTH = np.zeros((8, 32, 32), np.uint16)
TRUTH[2:6, 4:12, 4:12] = 1
TRUTH[2:6, 18:28, 18:28] = 2


def image(seed=0):
    noise = np.random.default_rng(seed).poisson(10, TRUTH.shape)
    return (noise + 200 * (TRUTH > 0)).astype(np.uint16)


def write_image(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(
        path, image(seed), imagej=True, resolution=(2, 2), metadata={"axes": "ZYX", "spacing": 1.0, "unit": "um"}
    )


def write_zarr(path, data, scale=(1.0, 0.5, 0.5), unit="micrometer", zarr_format=2):
    """An OME-Zarr image, version 0.4 or (Zarr format 3) 0.5, ZYX or with channels in front."""
    names = "czyx"[-data.ndim :]
    axes = [{"name": name, "type": "channel" if name == "c" else "space"} for name in names]
    axes = [axis if axis["name"] == "c" else {**axis, "unit": unit} for axis in axes]
    scales = [{"type": "scale", "scale": [*[1.0] * (data.ndim - 3), *scale]}]
    multiscale = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scales}]}
    group = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    group.create_array("0", data=data, chunks=(*[1] * (data.ndim - 3), 4, 16, 16))
    if zarr_format == 2:
        group.attrs["multiscales"] = [{"version": "0.4", **multiscale}]
    else:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale]}


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
