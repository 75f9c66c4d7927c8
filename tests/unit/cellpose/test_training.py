"""What Cellpose learns from."""

import numpy as np
import pytest

pytest.importorskip("cellpose", reason="cellpose 3 is in its image only")
from images.cellpose.training import make_sample


def test_every_nucleus_has_flows_also_where_there_is_no_background():
    labels = np.repeat([[[3] * 12 + [7] * 12]], 16, axis=1)
    _, target = make_sample(np.zeros(labels.shape, np.float32), labels, np.random.default_rng(0))
    assert (target[0] == 1).all()
    for half in (target[1:, :, :12], target[1:, :, 12:]):
        assert np.hypot(*half).mean() > 0.8
