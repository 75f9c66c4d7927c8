"""Models that upstream wrote, and what it made of one image with them (scripts/parity.py --write-golden)."""

import lzma
import shutil
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parents[2] / "data" / "stardist3d"
MODELS = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir())


def unpack_model(name: str, folder: Path) -> Path:
    """The model's folder as upstream wrote it, made inside of `folder`."""
    target = Path(shutil.copytree(GOLDEN / name, folder / name, ignore=shutil.ignore_patterns("*.xz", "*.npz")))
    (target / "weights_best.h5").write_bytes(lzma.decompress((GOLDEN / name / "weights_best.h5.xz").read_bytes()))
    return target


def golden_image(channels: int) -> np.ndarray:
    """The image, float32, (Z, Y, X) for one channel, else (C, Z, Y, X)."""
    image = np.load(GOLDEN / "image.npz")["image"].astype(np.float32) / 32
    return image[..., 0] if channels == 1 else np.moveaxis(image[..., :channels], -1, 0)
