"""``nucseg view``: an image and the labels of every method, in napari."""

import argparse
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nucseg.errors import ENVIRONMENT, USAGE, NucsegError
from nucseg_launcher.layout import OutFolder

if TYPE_CHECKING:
    from nucseg.volume import Triple

DESCRIPTION = """\
Open an image of a run in napari, with the labels of every method, and the ground truth and the consensus if there are
any.

napari is not part of nucseg; where it is missing, the command says how to install it."""

EXAMPLES = """\
example:
  nucseg view my_results/embryo.tif"""


@dataclass(frozen=True)
class Layer:
    """What napari is to show.

    Attributes
    ----------
    name : str
    path : pathlib.Path
        A volume, or a label image.
    scale : tuple of float
        Size of a voxel, ZYX: in µm where it is known.
    part : tuple of int or None
        Channel and time point of an image; None for labels.
    """

    name: str
    path: Path
    scale: "Triple"
    part: tuple[int, int] | None = None


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "view",
        help="open an image and its labels in napari",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "volume", metavar="OUT/VOLUME", type=Path, help="folder of the results, and in it the name of an image"
    )
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Open the window, and wait until it is closed."""
    folder = args.volume.expanduser().resolve()
    layers = layers_of(OutFolder(folder.parent), folder.name)
    try:
        import napari
    except ImportError as error:
        cause = f"napari is not installed here ({error})"
        # Another Python's pip would put it where this one doesn't look.
        raise NucsegError(cause, f'{shlex.quote(sys.executable)} -m pip install "napari[all]"', ENVIRONMENT) from None
    show(napari.Viewer(title=f"nucseg: {folder.name}"), layers)
    napari.run()
    return 0


def layers_of(out: OutFolder, name: str) -> list[Layer]:
    """The image where it still is, the ground truth, the labels of each method, and their consensus.

    Parameters
    ----------
    out : OutFolder
    name : str
        Of the image, with or without its ending.

    Raises
    ------
    NucsegError
        USAGE: there are no results here, or none of such an image.
    """
    from nucseg_launcher.report.comparison import read_comparison
    from nucseg_launcher.report.sources import find_labels, label_folders, segmented_part

    comparison = read_comparison(out)
    if not comparison:
        raise NucsegError(f"there are no results in {out.path}", "nucseg view OUT/VOLUME, OUT as for nucseg run", USAGE)
    volumes = {key: volume for volume in comparison["volumes"] for key in (volume["stem"], volume["name"])}
    if name not in volumes:
        known = ", ".join(volume["name"] for volume in comparison["volumes"][:10])
        raise NucsegError(f"there are no results of {name} in {out.path}", f"one of {known}", USAGE)
    name, scale = volumes[name]["name"], tuple(volumes[name]["voxel_size_um"] or (1.0, 1.0, 1.0))
    image = Path(comparison["input"] or "") / name
    layers = [Layer(name, image, scale, segmented_part(out))] if image.exists() else []
    for source, folder in label_folders(out, comparison, name).items():
        path = find_labels(folder, name)
        if path is not None:
            layers.append(Layer(source, path, scale))
    return layers


def show(viewer: Any, layers: list[Layer]) -> None:
    """Put the layers into a napari viewer."""
    from nucseg.formats import read_labels, read_volume

    for layer in layers:
        if layer.part is None:
            # Outlines, as filled labels would hide those below.
            viewer.add_labels(read_labels(layer.path), name=layer.name, scale=layer.scale).contour = 1
        else:
            channel, time_point = layer.part
            data = read_volume(layer.path, channel=channel, time_point=time_point).data
            viewer.add_image(data, name=layer.name, scale=layer.scale)
