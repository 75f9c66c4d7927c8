"""``nucseg score``: label images against ground truth, without running anything."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from nucseg.errors import FAILED_IMAGE, USAGE, NucsegError
from nucseg.progress import say
from nucseg_launcher.layout import OutFolder
from nucseg_launcher.units import count_text

DESCRIPTION = """\
Score label images against ground truth: both are files, or folders whose files have the same names.
Any program may have made them: integers, 0 for background, one number per nucleus."""

EXAMPLES = """\
examples:
  nucseg score my_results/methods/stardist3d/labels my_labels
  nucseg score mine.tif truth.tif --out scores.json         every score, as data

The scores: F1, precision and recall at IoU 0.5 and 0.75 (stardist.matching), panoptic quality, SEG (Cell Tracking
Challenge), AJI, Dice, adapted Rand error, variation of information; numbers of splits, merges, missed and spurious
nuclei; mean distance of surfaces (ASSD) in µm where the voxel size is known."""

SHOWN = ("f1_50", "precision_50", "recall_50", "f1_75", "mean_matched_iou", "panoptic_quality", "seg", "aji", "dice")
COUNTS = ("n_true", "n_pred", "n_splits", "n_merges", "n_missed", "n_spurious")


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "score",
        help="score label images against ground truth",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("pred", metavar="PRED", type=Path, help="label image, or folder of label images")
    parser.add_argument("gt", metavar="GT", type=Path, help="ground truth: a file or folder as PRED is")
    parser.add_argument("--out", metavar="FILE", type=Path, help="write every score to a .json or .tsv file")
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Score each pair and print a table."""
    from nucseg_launcher.checks.preflight import home
    from nucseg_launcher.comparison.scoring import score_files, write_scores

    if args.out and args.out.suffix not in (".json", ".tsv"):
        raise NucsegError(f"--out {args.out} is neither .json nor .tsv", "--out scores.json", USAGE)
    out = home(args.out) if args.out else None
    pairs = _pairs(home(args.pred), home(args.gt))
    rows, failures = [], []
    for pred, truth in pairs:
        try:
            rows.append({"image": pred.name, **score_files(pred, truth)})
        except NucsegError as error:
            failures.append(error)
    if not rows:
        raise failures[0]
    width = max(len(row["image"]) for row in rows)
    for row in rows:
        shown = "  ".join(f"{name} {row[name]:.3f}" for name in SHOWN if row[name] is not None)
        counts = ", ".join(f"{name.removeprefix('n_')} {row[name]}" for name in COUNTS)
        unit = "um" if "assd_um" in row else "voxels"
        assd = row[f"assd_{unit}"]
        distance = f"; assd {assd:.3g} {unit}" if assd is not None else ""
        say(f"{row['image']:{width}}  {shown}")
        say(f"{'':{width}}  {counts}{distance}")
    if len(rows) > 1:
        mean = sum(row["f1_50"] for row in rows) / len(rows)
        say(f"mean F1 at IoU 0.5 of {count_text(len(rows), 'image')}: {mean:.3f}")
    if out:
        write_scores(out, rows)
        say(f"  scores  {out}")
    for failure in failures:
        say(f"error: {failure}", sys.stderr)
    return FAILED_IMAGE if failures else 0


def _pairs(pred: Path, gt: Path) -> list[tuple[Path, Path]]:
    from nucseg.folders import find_ground_truth, find_images
    from nucseg_launcher.checks.preflight import existing_folder, is_one_image

    single = [is_one_image(path) for path in (pred, gt)]
    if all(single):
        return [(pred, gt)]
    for path in (pred, gt):
        if not path.exists():
            raise NucsegError(f"{path} does not exist", f"check the spelling; its full path: {path.absolute()}", USAGE)
    if any(single):
        raise NucsegError("PRED and GT must both be images, or both be folders of images", "name two of a kind", USAGE)
    methods = OutFolder(pred).methods()
    if methods:
        folders = [str(OutFolder(pred).method(name).labels) for name in methods]
        hint = " or ".join(shlex.join(["nucseg", "score", folder, str(gt)]) for folder in folders)
        raise NucsegError(f"{pred} holds the results of a run, not label images", hint, USAGE)
    images, _ = find_images(existing_folder("the folder of label images", pred))
    truths = find_ground_truth(existing_folder("the ground truth folder", gt), images)
    for image in images:
        if image not in truths:
            say(f"note: {image.name} has no ground truth")
    return [(image, truths[image]) for image in images if image in truths]
