"""Upstream's side of `make bench`: runs in the TensorFlow environment, answers one request per line.

Requests and answers are JSON objects on standard input and output:

    {"do": "make", "folder": F, "image": I, "candidates": N, "radius": R, "config": {...}}
    {"do": "load", "folder": F}
    {"do": "network", "image": I}                       -> {"seconds": s, "processor": s}
    {"do": "predict", "image": I, "prob": p, "nms": t, "labels": L} -> the same

`make` saves a model with random weights; the others use the last model that was made or loaded.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

THREADS = int(sys.argv[1])
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS=str(THREADS))

import numpy as np
import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(THREADS)
tf.config.threading.set_inter_op_parallelism_threads(THREADS)


def make(request: dict[str, Any]) -> Any:
    """Keras' own random weights, the heads scaled so that a plausible number of nuclei is found."""
    from stardist.models import Config3D, StarDist3D

    tf.keras.utils.set_random_seed(0)
    folder = Path(request["folder"])
    model = StarDist3D(Config3D(**request["config"]), name=folder.name, basedir=str(folder.parent))
    prob, dist = model.predict(np.load(request["image"]))[:2]
    logit = np.log(prob / (1 - prob))
    cut = np.sort(logit, axis=None)[-request["candidates"]]
    rescale(model.keras_model.get_layer("prob"), 1 / logit.std(), -cut / logit.std())
    spread = 0.1 * request["radius"] / dist.std((0, 1, 2))
    rescale(model.keras_model.get_layer("dist"), spread, request["radius"] - spread * dist.mean((0, 1, 2)))
    model.keras_model.save_weights(str(folder / "weights_best.h5"))
    (folder / "thresholds.json").write_text(json.dumps({"prob": 0.5, "nms": 0.4}))
    return model


def rescale(layer: Any, factor: Any, shift: Any) -> None:
    """Change a linear layer so that it gives `factor` times its output, plus `shift`."""
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel * factor, bias * factor + shift])


def load(request: dict[str, Any]) -> Any:
    """A published folder."""
    from stardist.models import StarDist3D

    folder = Path(request["folder"])
    return StarDist3D(None, name=folder.name, basedir=str(folder.parent))


def measure(model: Any, request: dict[str, Any]) -> dict[str, float]:
    """Seconds of one run of the network, or of the whole prediction."""
    image = np.load(request["image"])
    begun, used = time.perf_counter(), time.process_time()
    if request["do"] == "network":
        model.keras_model.predict(image[None, ..., None], verbose=0)
        labels = None
    else:
        labels = model.predict_instances(image, prob_thresh=request["prob"], nms_thresh=request["nms"])[0]
    result = {"seconds": time.perf_counter() - begun, "processor": time.process_time() - used}
    if labels is not None:
        np.save(request["labels"], labels)
    return result


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what stardist prints is not an answer
    model: Any = None
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, float] = {}
        if request["do"] in ("make", "load"):
            model = {"make": make, "load": load}[request["do"]](request)
        else:
            answer = measure(model, request)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
