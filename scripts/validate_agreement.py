"""How often does agreement between methods pick the method that ground truth ranks best?

    python scripts/validate_agreement.py OUT

OUT is the output folder of ``nucseg compare METHODS IN OUT --gt GT``. Every subset of three or more of its methods is
ranked twice on every volume alone: by ground truth, and by agreement without looking at it. Printed is how often
the first places are the same, what chance would give, and how much F1 is lost by following agreement.
"""

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np

from nucseg.comparison.agreement import FEWEST, against_truth
from nucseg.comparison.groups import Tables, overlap_tables
from nucseg.comparison.ranking import f1_of
from nucseg.folders import find_ground_truth
from nucseg.formats import read_labels
from nucseg.metrics.matching import match_table
from nucseg.metrics.overlap import overlap_table
from nucseg_launcher.comparison.sources import folder_of_all, images_of, sources_of
from nucseg_launcher.comparison.volumes import label_files
from nucseg_launcher.layout import OutFolder


def f1_matrix(tables: Tables, methods: int) -> np.ndarray:
    """(methods, methods): F1 of each pair on one volume."""
    matrix = np.eye(methods)
    for (i, j), table in tables.items():
        matrix[i, j] = matrix[j, i] = match_table(table)[0].f1
    return matrix


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("output", type=Path, help="output folder of `nucseg compare`, with ground truth")
    out = OutFolder(parser.parse_args().output.resolve())
    sources = sources_of(out, {})
    gt_dir, _ = folder_of_all(out, "ground_truth")
    assert gt_dir is not None, "compare with --gt first"
    right = total = 0
    chance, losses = [], []
    for image, truth_path in find_ground_truth(gt_dir, [Path(image) for image in images_of(sources)]).items():
        found, _ = label_files(image.name, sources)
        names, files = list(found), list(found.values())
        truth = read_labels(truth_path)
        by_truth = f1_of(against_truth([overlap_table(truth, file.read()) for file in files]))
        matrix = f1_matrix(overlap_tables(files), len(files))
        print(f"\n{image.name}")
        for name, score, row in zip(names, by_truth, matrix, strict=True):
            print(f"  {name:12} F1 {score:.3f}  agreement {(row.sum() - 1) / (len(names) - 1):.3f}")
        for size in range(FEWEST, len(names) + 1):
            for subset in combinations(range(len(names)), size):
                chosen = list(subset)
                agreement = matrix[np.ix_(chosen, chosen)].sum(axis=1)
                picked, best = by_truth[chosen][np.argmax(agreement)], by_truth[chosen].max()
                right, total = right + int(picked == best), total + 1
                chance.append(np.mean(by_truth[chosen] == best))
                losses.append(best - picked)
    print(
        f"\nagreement picks the best method in {right} of {total} cases ({right / total:.0%}; "
        f"chance {np.mean(chance):.0%}); "
        f"F1 lost by following it: mean {np.mean(losses):.3f}, at most {np.max(losses):.3f}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
