"""An image that the memory can't hold is refused with its size, before anything of it is read."""

from pathlib import Path

import pytest
import tifffile
import zarr

from nucseg.errors import FAILED_IMAGE, NucsegError
from nucseg.formats import read_volume

SHAPE = (2, 2**21, 2**21)
TILE = 2**17


def huge_tiff(path: Path) -> Path:
    """Compressed, with tiles that stand for 18 TB and hold nothing."""
    tiles = (b"x" for _ in range(2 * (SHAPE[1] // TILE) ** 2))
    tifffile.imwrite(path, tiles, shape=SHAPE, dtype="uint16", tile=(TILE, TILE), compression="zlib", bigtiff=True)
    return path


def huge_zarr(path: Path) -> Path:
    group = zarr.open_group(path, mode="w", zarr_format=2)
    axes = [{"name": name, "type": "space"} for name in "zyx"]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [{"path": "0"}]}]
    group.create_array("0", shape=SHAPE, chunks=(1, TILE, TILE), dtype="uint16", compressors=None)
    (path / "0" / "0.0.0").write_bytes(b"x")
    return path


@pytest.mark.parametrize("make", [huge_tiff, huge_zarr])
def test_an_image_larger_than_the_memory_is_refused(make, tmp_path):
    path = make(tmp_path / ("a.tif" if make is huge_tiff else "a.zarr"))
    with pytest.raises(NucsegError, match=rf"{path.name} takes 1\.76e\+04 GB of memory, and .* GB are free") as caught:
        read_volume(path)
    assert caught.value.exit_code == FAILED_IMAGE
    assert "more memory" in caught.value.hint
