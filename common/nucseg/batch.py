"""The images of a folder, one after the other: read, segment, write, measure, score, record.

One image's failure never stops the others; what is finished stays.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from nucseg import __version__
from nucseg.cli import Segment
from nucseg.environment import peak_memory_mib, pick_device, reset_peak_memory, versions
from nucseg.errors import FAILED_IMAGE, NucsegError, about
from nucseg.failures import explain
from nucseg.folders import (
    check_apart,
    check_inputs,
    chosen,
    find_ground_truth,
    find_images,
    prepare_output,
    remove,
    remove_parts,
    same_stem,
)
from nucseg.formats import (
    content_sha256,
    image_stem,
    label_name,
    read_image,
    read_labels,
    size_on_disk,
    write_labels,
)
from nucseg.formats.reading import explained
from nucseg.labels import Segmented, checked
from nucseg.method import Method, Report, Segmenter, method_folder
from nucseg.models import fingerprint, resolve_model
from nucseg.morphometry import measure, table_files, write_companion, write_table
from nucseg.progress import Progress, duration, say
from nucseg.record import DONE, FAILED, FILE_NAME, RunRecord, changed_settings, read_images, same_settings
from nucseg.scoring import KEYS, score_labels
from nucseg.volume import Volume

Step = tuple[str, Callable[[], None]]
"""What is made beside the labels: its name, and what makes it."""

VIEWS = ("xy", "xz", "yz")


def segment_folder(request: Segment, method: Method, listener: Report | None = None) -> int:
    """Do what a `Segment` request says, telling the listener (`Progress`) how far it is.

    Returns
    -------
    int
        Exit code: 0; `FAILED_IMAGE` when something that was asked for wasn't made; another when the record wasn't.

    Raises
    ------
    NucsegError
        Before the first image, when none can be done: folders, device, model.
    """
    outputs = (request.out_dir, request.measurements, request.overlays, request.record and request.record.parent)
    gt_dir = request.gt_dir if request.metrics else None
    check_inputs(**{"in": request.in_dir, "gt": gt_dir})
    check_apart((request.in_dir,), outputs, within=bool(request.only))
    check_apart((request.gt_dir,), outputs)
    everything, others = find_images(request.in_dir)
    truths = find_ground_truth(gt_dir, everything) if gt_dir else {}
    images = chosen(everything, request.only)
    for folder in outputs:
        if folder is not None:
            prepare_output(folder)
    if others and not request.only:
        say(f"note: left out, no TIFF and no OME-Zarr: {', '.join(others)}")
    device = pick_device(request.device, request.params)
    say("  0% loading the model")
    model = resolve_model(method_folder(method.name), request.params.model)
    segmenter = method.load(model, request.params, device)
    settings = {
        "nucseg": __version__,
        "method": method.name,
        "model": fingerprint(model, segmenter.info),
        "params": asdict(request.params),
    }
    context = {
        "citation": method.citation,
        "device": device,
        "versions": versions(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    path = request.record or request.out_dir / FILE_NAME
    record = RunRecord(path, settings, context, of_failures=request.record is not None)
    batch = Batch(request, segmenter, record, images, truths, same_stem(everything), listener)
    try:
        batch.run()
    finally:
        remove_parts([batch.record.path, *(path for image in images for path in batch.results(image))])
    return batch.summary()


def _geometry(volume: Volume, params: Any) -> str:
    """The volume in words: OMERO's exports have lost the voxel size, and nothing else would show it."""
    shape = " x ".join(map(str, volume.shape))
    if volume.voxel_size is None:
        return f"{shape} voxels (ZYX) of unknown size, taken as cubes; --voxel_size_z, _y and _x tell it, in µm"
    size = " x ".join(f"{edge:.4g}" for edge in volume.voxel_size)
    given = max(params.voxel_size_z, params.voxel_size_y, params.voxel_size_x) > 0
    return f"{shape} voxels (ZYX) of {size} µm, as the {'parameters say' if given else 'image says'}"


class Batch:
    """One run over the images of a folder.

    Parameters
    ----------
    request : Segment
    segmenter : Segmenter
        The loaded model.
    record : RunRecord
        Still without images.
    images : list of pathlib.Path
    truths : dict of pathlib.Path to pathlib.Path
        Ground truth by image.
    twins : dict of pathlib.Path to list of str
        Images whose results would have another's names (`nucseg.folders.same_stem`).
    listener : callable, optional
        Of the progress.
    """

    def __init__(
        self,
        request: Segment,
        segmenter: Segmenter,
        record: RunRecord,
        images: list[Path],
        truths: dict[Path, Path],
        twins: dict[Path, list[str]],
        listener: Report | None = None,
    ) -> None:
        self.request, self.segmenter, self.images, self.truths = request, segmenter, images, truths
        self.twins = twins
        self.record = record
        self.earlier = read_images(record.path)
        if (request.resume or request.only) and same_settings(record.path, record.settings):
            again = set() if request.resume else {image.name for image in images}
            done = {name: entry for name, entry in self.earlier.items() if entry["status"] == DONE}
            self.record.images = {name: entry for name, entry in done.items() if name not in again}
        elif request.resume and (changed := changed_settings(record.path, record.settings)):
            say(f"note: all images are done again: what was done before was with other settings ({', '.join(changed)})")
        self.problems: list[tuple[str, NucsegError]] = []
        self.done = self.skipped = 0
        self.unrecorded: NucsegError | None = None
        names, sizes = [image.name for image in images], [size_on_disk(image) for image in images]
        self.progress = Progress(names, sizes, listener=listener)

    def run(self) -> None:
        """Do all images."""
        for index, image in enumerate(self.images):
            outdated = False
            try:
                if self._is_done(image):
                    self._score_again(image)
                    self.skipped += 1
                    self.progress.skip(index, "done by an earlier run")
                    continue
                self.progress.start(index)
                self._check_twins(image)
                outdated = True
                facts = self._image(image)
                outdated = False
                self.record.add(image.name, DONE, **facts)
                self.done += 1
                self.progress.finish(index, f"{facts['nuclei']} nuclei in {duration(facts['seconds'])}")
            except Exception as error:
                if outdated:
                    # A result of an earlier run would look like this one's.
                    remove(*self.results(image))
                self._fail(index, explain(error))

    def _is_done(self, image: Path) -> bool:
        entry = self.record.images.get(image.name)
        if entry is None or image in self.twins or entry.get("problems"):
            return False
        made = set(self.extras) <= set(entry.get("extras", ()))
        if not made or not all(path.exists() for path in self.results(image)):
            return False
        with explained(image):
            return bool(entry.get("sha256") == content_sha256(image))

    def _score_again(self, image: Path) -> None:
        """Replace the scores of a finished image when they are not those of its ground truth as it is now."""
        entry = self.record.images[image.name]
        if not self.truths or entry.get("truth_sha256") == self._truth_sha256(image):
            return
        facts = {key: value for key, value in entry.items() if key not in ("file", "status", *KEYS)}
        problems = self._try(image, self._scoring(image, read_labels(self.request.out_dir / label_name(image)), facts))
        self.record.add(image.name, DONE, **facts, **({"problems": problems} if problems else {}))

    def _truth_sha256(self, image: Path) -> str | None:
        """None without ground truth; nothing that a record holds where it can't be read, as scoring then says."""
        try:
            return content_sha256(self.truths[image]) if image in self.truths else None
        except OSError:
            return ""

    @property
    def extras(self) -> list[str]:
        """What is made of every image beside its labels, as its record says it."""
        wanted = {"measurements": self.request.measurements, "overlays": self.request.overlays}
        return [name for name, folder in wanted.items() if folder]

    def results(self, image: Path) -> list[Path]:
        """Every file that this image can have, its labels first."""
        stem, results = image_stem(image), [self.request.out_dir / label_name(image)]
        if self.request.measurements:
            results += table_files(self.request.measurements, stem)
        if self.request.overlays:
            results += [self.request.overlays / f"{stem}_{view}.png" for view in VIEWS]
        return results

    def _check_twins(self, image: Path) -> None:
        if image in self.twins:
            raise NucsegError(
                f"its results would have the same name as those of {', '.join(self.twins[image])}",
                "rename one of the files",
            )

    def _image(self, image: Path) -> dict[str, Any]:
        begun, params = time.monotonic(), self.request.params
        reset_peak_memory()
        volume = read_image(image, params)
        say(f"note: {_geometry(volume, params)}")
        if volume.is_constant:
            found = Segmented(np.zeros(volume.shape, np.uint16))
        else:
            found = checked(self.segmenter.segment(volume, params, self.progress), volume.shape)
        labels = found.labels
        if not labels.any():
            say(f"note: {image.name}: no nucleus found: check the channel, --nucleus_diameter and the thresholds")
        write_labels(self.request.out_dir / label_name(image), labels, volume.voxel_size)
        facts: dict[str, Any] = {
            "sha256": content_sha256(image),
            "labels_sha256": content_sha256(self.request.out_dir / label_name(image)),
            "nuclei": int(labels.max()),
            "shape": volume.shape,
            "voxel_size_um": volume.voxel_size,
            "extras": self.extras,
        }
        problems = self._extras(image, volume, found, facts)
        if problems:
            facts["problems"] = problems
        return {**facts, "seconds": round(time.monotonic() - begun, 2), "peak_memory_mib": peak_memory_mib()}

    def _extras(self, image: Path, volume: Volume, found: Segmented, facts: dict[str, Any]) -> list[str]:
        """Table, pictures and scores; their failures don't cost the labels, which are written."""
        steps: list[Step] = []
        labels = found.labels
        # Those of an earlier run are of other labels.
        remove(*self.results(image)[1:])
        if self.request.measurements:
            steps.append(("the measurements", lambda: self._measure(image, volume, found)))
        if self.request.overlays:
            steps.append(("the overlays", lambda: self._draw(image, volume, labels)))
        return self._try(image, [*steps, *self._scoring(image, labels, facts)])

    def _scoring(self, image: Path, labels: np.ndarray, facts: dict[str, Any]) -> list[Step]:
        if image in self.truths:
            return [("the scores", lambda: facts.update(score_labels(image.name, labels, self.truths[image])))]
        if self.truths:
            say(f"note: {image.name} has no ground truth, so no scores")
        return []

    def _try(self, image: Path, steps: Iterable[Step]) -> list[str]:
        problems = []
        for what, step in steps:
            try:
                step()
            except Exception as error:
                known = explain(error)
                problem = NucsegError(f"{what} are missing (the labels are written): {known.cause}", known.hint)
                self._tell(image, problem)
                problems.append(str(problem))
        return problems

    def _measure(self, image: Path, volume: Volume, found: Segmented) -> None:
        assert self.request.measurements is not None
        path, companion = table_files(self.request.measurements, image_stem(image))
        table = {**measure(found.labels, volume), **found.columns}
        write_table(path, table)
        write_companion(companion, table, volume)

    def _draw(self, image: Path, volume: Volume, labels: np.ndarray) -> None:
        from nucseg.overlay import write_overlays

        assert self.request.overlays is not None
        write_overlays(self.request.overlays, image_stem(image), volume, labels)

    def _fail(self, index: int, error: NucsegError) -> None:
        image = self.images[index]
        self.progress.finish(index, "failed")
        self._tell(image, error)
        try:
            self.record.add(image.name, FAILED, cause=error.cause, hint=error.hint)
        except (NucsegError, OSError) as problem:
            # The next images can still be done, and their record holds this one's, too.
            self.unrecorded = explain(problem)
            say(f"warning: {self.unrecorded}")

    def _tell(self, image: Path, problem: NucsegError) -> None:
        self.problems.append((image.name, problem))
        if len(self.images) > 1:
            say(f"error: {about(image.name, problem)}")

    def summary(self) -> int:
        """Say how it went, each failure with cause and hint; the exit code."""
        failed = len(self.images) - self.done - self.skipped
        parts = [f"{self.done} done", f"{failed} failed"]
        parts += [f"{self.skipped} done before"] * bool(self.skipped)
        incomplete = len(self.problems) - failed
        parts += [f"{incomplete} result{'s' * (incomplete != 1)} missing beside the labels"] * bool(incomplete)
        for name, problem in self.problems:
            say(f"error: {about(name, problem)}")
        # BIOMERO stumbles over a log whose last lines hold no percentage.
        say(f"100% of {len(self.images)} image{'s' * (len(self.images) != 1)}: {', '.join(parts)}")
        if self.unrecorded:
            return self.unrecorded.exit_code
        return FAILED_IMAGE if self.problems else 0
