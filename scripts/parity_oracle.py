"""Upstream's side of the parity comparison: runs in the TensorFlow environment that scripts/parity.py makes.

Usage: parity_oracle.py JOB.json

For each case of the job it builds the model (random weights, or a published folder), saves it as
upstream does, predicts, and writes ``expected_<i>.npz`` next to the image.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

# Before TensorFlow is imported. One thread, because upstream's suppression adds up the mean extent
# of the candidates from several threads without a lock, and its result depends on it.
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="1")

import numpy as np

CANDIDATES = 1200


def main() -> None:
    """Work through the job file."""
    job = json.loads(Path(sys.argv[1]).read_text())
    os.environ["TF_USE_LEGACY_KERAS"] = "1" if job["legacy_keras"] else "0"
    for case in job["cases"]:
        folder = Path(case["folder"])
        images = [np.load(path) for path in case["images"]]
        model = _random_model(case, images[0]) if "config" in case else _published_model(folder)
        for image_path, image in zip(case["images"], images, strict=True):
            _predict(model, case, image, Path(image_path))


def _published_model(folder: Path) -> Any:
    from stardist.models import StarDist3D

    return StarDist3D(None, name=folder.name, basedir=str(folder.parent))


def _random_model(case: dict[str, Any], image: np.ndarray) -> Any:
    """A model whose random weights still give `CANDIDATES` of a plausible size."""
    from stardist.models import Config3D, StarDist3D

    folder, rng = Path(case["folder"]), np.random.default_rng(case["seed"])
    model = StarDist3D(Config3D(**case["config"]), name=folder.name, basedir=str(folder.parent))
    network = model.keras_model
    weights = []
    for variable in network.weights:
        value, name = np.asarray(variable), getattr(variable, "path", variable.name)
        if "kernel" in name:
            value = rng.standard_normal(value.shape) * np.sqrt(2 / np.prod(value.shape[:-1]))
        elif "variance" in name or "gamma" in name:
            value = rng.uniform(0.5, 2, value.shape)
        else:
            value = rng.standard_normal(value.shape) * 0.2
        # of 16 bits, so that the golden files are small
        weights.append(value.astype(np.float16).astype(np.float32))
    network.set_weights(weights)
    prob, dist = model.predict(image, n_tiles=None)[:2]
    logit = np.log(np.clip(prob, 1e-6, 1 - 1e-6) / np.clip(1 - prob, 1e-6, 1))
    standard = np.sort((logit - logit.mean()) / logit.std(), axis=None)
    prob_thresh = case["thresholds"][0][0]
    mean = np.log(prob_thresh / (1 - prob_thresh)) - standard[-min(CANDIDATES, logit.size // 5)]
    _rescale(network.get_layer("prob"), logit[..., None], mean, spread=1.0)
    _rescale(network.get_layer("dist"), dist, mean=case["radius"], spread=0.2 * case["radius"])
    network.save_weights(str(folder / "weights_best.h5"))
    (folder / "thresholds.json").write_text(json.dumps(dict(zip(("prob", "nms"), case["thresholds"][0], strict=True))))
    return model


def _rescale(layer: Any, output: np.ndarray, mean: float, spread: float) -> None:
    """Change a linear layer so that each channel of its output has this mean and spread."""
    kernel, bias = layer.get_weights()
    axes = tuple(range(output.ndim - 1))
    factor = spread / (output.std(axes) + 1e-6)
    layer.set_weights([kernel * factor, (bias - output.mean(axes)) * factor + mean])


def _predict(model: Any, case: dict[str, Any], image: np.ndarray, path: Path) -> None:
    outputs = model.predict(image)
    found: dict[str, np.ndarray] = {"prob": outputs[0], "dist": outputs[1]}
    if len(outputs) > 2:
        found["classes"] = outputs[2]
    for i, (prob, nms) in enumerate(case["thresholds"]):
        labels, details = model.predict_instances(image, prob_thresh=prob, nms_thresh=nms)
        found[f"labels_{i}"] = labels
        if "class_prob" in details:
            found[f"class_prob_{i}"] = details["class_prob"]
    np.savez_compressed(path.with_name(f"expected_{path.stem}.npz"), **found)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
