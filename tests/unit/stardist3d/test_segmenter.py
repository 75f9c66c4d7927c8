"""What the user is told about a volume that the method isn't for."""

from pathlib import Path

import pytest

from images.stardist3d.method import StarDistParams
from images.stardist3d.segmenter import StarDistSegmenter
from nucseg.simulation import simulate
from nucseg.volume import Volume

WEIGHTS = Path(__file__).parents[3] / "images" / "stardist3d" / "weights" / "general"


@pytest.mark.parametrize(("planes", "thin"), [(5, True), (24, False)])
def test_a_thin_volume_is_told(planes, thin, capsys):
    volume, _ = simulate("embryo", seed=0, shape=(24, 48, 48))
    source = Volume(volume.data[:planes], None, Path("a.tif"))
    params = StarDistParams(nucleus_diameter=16)
    StarDistSegmenter.load(WEIGHTS, params, "cpu").segment(source, params, lambda done, text: None)
    told = f"a.tif has {planes} voxels along z at the model's scale, and no nucleus is found whose"
    assert (told in capsys.readouterr().out) is thin
