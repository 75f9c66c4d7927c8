"""What goes over the wire in a job: images and ground truth down, annotations and metrics up.

The rules are those of biaflows-utilities 0.9 (``data_preparation``, ``data_upload``, ``metric_upload``), but a track
has its nucleus' number in the label image, and an image without ground truth is segmented all the same.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from cytomine import CytomineJob
from cytomine.models import Annotation, AnnotationCollection, ImageInstance, ImageInstanceCollection, Property
from cytomine.models.collection import CollectionPartialUploadException
from cytomine.models.image import SliceInstanceCollection
from cytomine.models.track import Track

from nucseg.errors import ENVIRONMENT, NucsegError
from nucseg.progress import say
from nucseg.server.metrics import ImageInstanceMetricResult, ImageInstanceMetricResultCollection, MetricCollection
from nucseg.server.outlines import outlines

GROUND_TRUTH = "_lbl."
_CHUNK, _WORKERS = 20, 4


def download(project: int, images: Path, truths: Path) -> dict[str, ImageInstance]:
    """Download the images of a project, and the ground truth: what has ``_lbl`` before its extension.

    Parameters
    ----------
    project : int
    images, truths : pathlib.Path
        Folders; an image and its ground truth have the same name in both.

    Returns
    -------
    dict of str to ImageInstance
        The images by name of file.
    """
    found = ImageInstanceCollection().fetch_with_filter("project", project)
    if found is False:
        raise NucsegError(f"the server does not tell the images of project {project}", "check the keys", ENVIRONMENT)
    sources = {f"{image.id}.tif": image for image in found if GROUND_TRUTH not in image.originalFilename}
    if not sources:
        raise NucsegError(f"project {project} holds no image", "add images to the project on the server")
    for name, image in sources.items():
        say(f"note: {name} is {image.originalFilename}")
        image.download(f"{images}/{name}")
    for truth in found:
        if GROUND_TRUTH in truth.originalFilename:
            original = ".".join(truth.originalFilename.rsplit(GROUND_TRUTH, 1))
            # A server may hold several images of one name.
            names = [name for name, image in sources.items() if image.originalFilename == original]
            for name in names:
                truth.download(f"{truths}/{name}")
            if not names:
                say(f"warning: {truth.originalFilename} is the ground truth of no image")
    return sources


def upload_annotations(job: CytomineJob, image: ImageInstance, labels: np.ndarray, channel: int, time: int) -> int:
    """Upload the outlines of each nucleus, one annotation per slice, held together by a track; their number.

    Parameters
    ----------
    job : CytomineJob
    image : ImageInstance
    labels : numpy.ndarray
        ZYX.
    channel, time : int
        The part of the image that the outlines are shown on, from 0.
    """
    stored = SliceInstanceCollection().fetch_with_filter("imageinstance", image.id) or ()
    slices = {part.zStack: part.id for part in stored if part.channel == channel and part.time == time}
    if set(slices) != set(range(len(labels))):
        raise NucsegError(
            f"the server knows {len(slices)} slices of {image.originalFilename}, and its labels have {len(labels)}",
            "upload the image to the server again",
        )
    annotations = AnnotationCollection()
    for label, polygons in outlines(labels):
        track = _saved(Track(name=f"{job.job.id}-object-{label}", id_image=image.id))
        _saved(Property(track, key="label", value=label))
        annotations.extend(
            Annotation(
                location=polygon,
                id_image=image.id,
                id_slice=slices[z],
                id_project=job.project.id,
                id_tracks=[track.id],
            )
            for z, polygon in polygons
        )
    _save_all(annotations, f"annotations of {image.originalFilename}")
    return len(annotations)


def upload_metrics(
    job: CytomineJob, images: Mapping[str, ImageInstance], scores: Mapping[str, Mapping[str, Any]]
) -> int:
    """Upload those scores, by BIAFLOWS' short names, that the project's problem class knows; their number.

    Parameters
    ----------
    job : CytomineJob
    images : mapping of str to ImageInstance
        By name of file.
    scores : mapping of str to mapping of str to float or None
        By name of file and of metric; None for what has no value.
    """
    known = MetricCollection().fetch_with_filter("discipline", job.project.discipline) or ()
    results = ImageInstanceMetricResultCollection()
    results.extend(
        ImageInstanceMetricResult(id_metric=metric.id, id_job=job.job.id, id_image=images[name].id, value=value)
        for name, values in scores.items()
        for metric in known
        if (value := values.get(metric.shortName)) is not None
    )
    _save_all(results, "metrics")
    return len(results)


def _saved(model: Any) -> Any:
    saved = model.save()
    if saved is False:
        raise NucsegError(f"the server refuses a {model.callback_identifier}", "read the server's log", ENVIRONMENT)
    return saved


def _save_all(collection: Any, what: str) -> None:
    if not collection:
        return
    try:
        collection.save(chunk=_CHUNK, n_workers=_WORKERS)
    except CollectionPartialUploadException as error:
        raise NucsegError(
            f"the server refuses {len(error.failed)} of {len(collection)} {what}", "read the server's log", ENVIRONMENT
        ) from error
