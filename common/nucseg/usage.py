"""The text of ``--help``."""

from nucseg.method import Method, training_params
from nucseg.params import help_text


def usage(method: Method, train: bool) -> str:
    """What ``--help`` prints: run flags, parameters, and an example."""
    image = f"docker run --rm -v $PWD/data:/data:ro -v $PWD/out:/out nucseg/{method.name}"
    if train:
        head = f"""{method.title}: train a model.

{image} train --in /data/images --gt /data/labels --out /out

  --in FOLDER           Images (TIFF, OME-TIFF, OME-Zarr).
  --gt FOLDER           Their label images, with the same names.
  --out FOLDER          Gets the model (--model FOLDER uses it), training.tsv and training.png.
  --val FOLDER          Other images to validate on; without, every tenth pair is kept back for it.
  --val_gt FOLDER       Their label images.
  --resume              Go on with a run that was stopped.
  --device DEVICE       auto (default), cpu or cuda.
"""
        return f"{head}\nParameters:\n{help_text(training_params(method))}"
    return f"""{method.title}: {method.description}

{image} --in /data --out /out

  --in FOLDER           Images: every .tif, .tiff and .zarr (OME-Zarr) in it. Never written to.
  --out FOLDER          Gets one label image per image, of the same name (.tif for .zarr), and nucseg_run.json.
  --gt FOLDER           Ground truth, label images of the same names: adds scores.
  -nmc                  No scores, even with --gt.
  --measurements FOLDER Gets a table per image: one line per nucleus.
  --overlays FOLDER     Gets pictures per image: outlines of the labels in XY, XZ and YZ.
  --only IMAGE          Only this image of --in; may be given several times.
  --record FILE         The run record, instead of nucseg_run.json in --out. Runs that share --out, each with
                        its own images (--only), need one each.
  --resume              Leave out images that an earlier run with the same settings has done.
  --device DEVICE       auto (default), cpu or cuda; cuda is an error where there is no GPU.
  --check               Try whether the method runs here, on a tiny volume.
  --describe            Print the BIAFLOWS descriptor.
  --version, --help

train as first word trains a model: train --help.
BIAFLOWS' spellings are understood: --infolder --outfolder --gtfolder --local. Without folders, --cytomine_host and
the other four --cytomine_ flags make this a job of that server, which gets annotations and metrics.

Parameters (--name VALUE or --name=VALUE; empty or None is the default):
{help_text(method.params)}
{method.citation}
"""
