import itertools

import numpy as np
import pytest

from nucseg.errors import ENVIRONMENT, NucsegError
from nucseg.tiling import Tile, padded_shape, plan_tiles


def along_x(length: int, tile: int, halo: int, multiple: int) -> list[Tile]:
    return plan_tiles((1, 1, length), (1, 1, tile), (0, 0, halo), (1, 1, multiple))


@pytest.mark.parametrize("multiple", [1, 2, 3, 8, 16])
def test_reads_are_cores_with_context_and_within_the_budget(multiple: int) -> None:
    rng = np.random.default_rng(multiple)
    planned = 0
    for length, tile, halo in rng.integers((1, 1, 0), (400, 200, 40), (3000, 3)).tolist():
        padded = -(-length // multiple) * multiple
        context = -(-halo // multiple) * multiple
        budget = tile // multiple * multiple
        try:
            tiles = along_x(length, tile, halo, multiple)
        except NucsegError:
            assert max(budget, 2 * (budget - context)) < padded
            assert budget <= 2 * context
            continue
        planned += 1
        position = 0
        for read, core in ((t.read[2], t.core[2]) for t in tiles):
            assert core.start == position < core.stop
            position = core.stop
            assert read == slice(max(0, core.start - context), min(padded, core.stop + context))
            assert not any(edge % multiple for edge in (read.start, read.stop, core.start))
            assert read.stop - read.start <= budget
        assert position == padded
    assert planned > 1000


def test_cores_partition_the_padded_volume() -> None:
    shape, multiple = (21, 50, 33), (2, 4, 4)
    seen = np.zeros(padded_shape(shape, multiple), int)
    assert seen.shape == (22, 52, 36)
    for tile in plan_tiles(shape, (12, 32, 28), (3, 4, 8), multiple):
        seen[tile.core] += 1
    assert (seen == 1).all()


def test_as_few_tiles_as_the_budget_allows() -> None:
    for length, tile, halo in itertools.product((40, 100, 300), (40, 64, 101), (0, 5, 10)):
        count = len(along_x(length, tile, halo, 1))
        assert count == 1 or (count - 1) * tile < length + 2 * halo * (count - 2)


def test_reads_are_of_equal_size_up_to_one_unit() -> None:
    sizes = [t.read[2].stop - t.read[2].start for t in along_x(1000, 200, 20, 8)]
    assert max(sizes) - min(sizes) <= 8


def test_a_volume_that_fits_is_one_tile() -> None:
    (tile,) = plan_tiles((30, 30, 30), (32, 64, 32), (40, 40, 40), (16, 16, 16))
    assert tile.read == tile.core == (slice(0, 32),) * 3


def test_a_budget_without_room_for_a_core_is_an_error() -> None:
    with pytest.raises(NucsegError, match="along X has no room for the context of 64 voxels") as caught:
        along_x(1000, 64, 32, 8)
    assert caught.value.exit_code == ENVIRONMENT
