import shutil
import sys
from pathlib import Path

import pytest

from nucseg.errors import USAGE, NucsegError
from nucseg_launcher.commands.view import Layer, layers_of
from nucseg_launcher.layout import OutFolder
from nucseg_launcher.main import main


@pytest.mark.parametrize("name", ["first.tif", "first"])
def test_the_image_the_truth_and_the_labels_of_each_method_are_shown(example: OutFolder, name: str) -> None:
    folder, scale = example.path.parent, (0.5, 0.25, 0.25)

    assert layers_of(example, name) == [
        Layer("first.tif", folder / "images" / "first.tif", scale, (-1, -1)),
        Layer("ground truth", folder / "truth" / "first.tif", scale),
        Layer("exact", example.method("exact").labels / "first.tif", scale),
        Layer("half", example.method("half").labels / "first.tif", scale),
    ]


def test_the_consensus_is_a_layer_where_there_is_one(example: OutFolder) -> None:
    shutil.copytree(example.method("half").labels, example.consensus_labels)

    last = layers_of(example, "first.tif")[-1]

    assert last == Layer("consensus of the methods", example.consensus_labels / "first.tif", (0.5, 0.25, 0.25))


def test_without_the_image_its_labels_are_shown(example: OutFolder) -> None:
    shutil.rmtree(example.path.parent / "images")

    assert [layer.name for layer in layers_of(example, "second.tif")] == ["ground truth", "exact", "half"]


def test_an_image_without_results_is_told(example: OutFolder, tmp_path: Path) -> None:
    with pytest.raises(NucsegError, match="no results of third") as caught:
        layers_of(example, "third")
    assert "first.tif, second.tif" in caught.value.hint
    with pytest.raises(NucsegError, match="no results in") as caught:
        layers_of(OutFolder(tmp_path), "first")
    assert caught.value.exit_code == USAGE


def test_without_napari_the_command_says_how_to_get_it(
    example: OutFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "napari", None)

    assert main(["view", str(example.path / "first.tif")]) == 3
    assert f'{sys.executable} -m pip install "napari[all]"' in capsys.readouterr().err
