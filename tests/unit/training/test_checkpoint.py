"""A checkpoint is gone on from by the training that wrote it, and by no other."""

import pytest
import torch

from nucseg.errors import USAGE, NucsegError
from nucseg.training.checkpoint import CHECKPOINT, read_checkpoint, write_checkpoint

SETTINGS = {
    "method": "stardist3d",
    "steps": 100,
    "epochs": 0,
    "minutes": 0.0,
    "patience": 0,
    "validate_every": 50,
    "diameter": 16.0,
    "from_": "",
    "pairs": ["a", "b"],
    "config": {"grid": [2, 2, 2], "filters": 16},
}


@pytest.fixture
def checkpoint(tmp_path):
    write_checkpoint(tmp_path / CHECKPOINT, {"step": 7, "module": {"weight": torch.ones(2)}}, SETTINGS)
    return tmp_path / CHECKPOINT


def refused(path, settings):
    with pytest.raises(NucsegError) as caught:
        read_checkpoint(path, settings, "cpu")
    assert caught.value.exit_code == USAGE
    assert "another output folder" in caught.value.hint
    return caught.value.cause


def test_a_training_may_go_on_for_longer(checkpoint):
    longer = {"steps": 200, "epochs": 2, "minutes": 5.0, "patience": 3, "validate_every": 10}
    state = read_checkpoint(checkpoint, SETTINGS | longer, "cpu")
    assert state["step"] == 7
    assert torch.equal(state["module"]["weight"], torch.ones(2))


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"method": "unet3d"}, "method was 'stardist3d' and is now 'unet3d'"),
        ({"diameter": 12.0, "from_": "general"}, "diameter was 16.0 and is now 12.0"),
        ({"from_": "general"}, "from was '' and is now 'general'"),
        ({"pairs": ["a", "c"]}, "pairs 2 was 'b' and is now 'c'"),
        ({"pairs": ["a"]}, "pairs 2 was 'b' and is now None"),
        ({"config": {"grid": [2, 2, 2], "filters": 32}}, "config filters was 16 and is now 32"),
    ],
)
def test_the_first_difference_to_another_training_is_named(checkpoint, change, difference):
    assert refused(checkpoint, SETTINGS | change).endswith(difference)


@pytest.mark.parametrize("part", [0, 0.5, 0.99])
def test_a_damaged_file_is_told(checkpoint, part):
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: int(part * len(content))])
    assert "damaged" in refused(checkpoint, SETTINGS)


def test_a_file_of_something_else_is_told(checkpoint):
    checkpoint.write_text("no checkpoint")
    assert "damaged" in refused(checkpoint, SETTINGS)
    torch.save({"step": 7}, checkpoint)
    assert "of another version" in refused(checkpoint, SETTINGS)
