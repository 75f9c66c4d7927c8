"""Checkpoints that upstream wrote, and what it made of one image with them (scripts/oracles/unet3d_golden.py)."""

import lzma
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[2] / "data" / "unet3d"


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    return GOLDEN


@pytest.fixture(scope="session")
def unpack_checkpoint():
    """Makes the checkpoint of an order of layers, as upstream wrote it, inside of a folder."""

    def unpack(order: str, folder: Path) -> Path:
        packed = GOLDEN / order / "last_checkpoint.pytorch.xz"
        target = folder / packed.stem
        target.write_bytes(lzma.decompress(packed.read_bytes()))
        return target

    return unpack
