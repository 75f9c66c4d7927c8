"""Parameters: every text that a user, OMERO or Cytomine writes becomes the right value or a clear error."""

from dataclasses import dataclass, field

import pytest

from nucseg.errors import USAGE, NucsegError
from nucseg.params import CommonParams, flags, help_text, parameter, parameters, parse_params


@dataclass(frozen=True)
class Params(CommonParams):
    count: int = parameter(3, "Count", "How many.", minimum=-5, maximum=10)
    prob_thresh: float = parameter(0.5, "Threshold", "Least probability, 50% by default.", minimum=0.0, maximum=1.0)
    tta: bool = parameter(True, "Augmentation", "Average over flips.")
    mode: str = parameter("fast", "Mode", "Way.", choices=("fast", "slow"))
    model: str = parameter("general", "Model", "Name or folder.")


def test_all_defaults():
    assert parse_params(Params, []) == Params()


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("count=7", 7),
        ("count=2.0", 2),
        ("count=-5", -5),
        ("count=1e1", 10),
        ("count=None", 3),
        ("count=", 3),
        ("prob_thresh=0", 0.0),
        ("prob_thresh=1", 1.0),
        ("prob_thresh=1e-3", 0.001),
        ("prob_thresh=None", 0.5),
        ("tta=False", False),
        ("tta=0", False),
        ("tta=NO", False),
        ("tta=yes", True),
        ("tta=", True),
        ("mode=slow", "slow"),
        ("mode=None", "fast"),
        ("model=/m/a b=c", "/m/a b=c"),
        ("model=", "general"),
    ],
)
def test_values(word, value):
    name = word.split("=")[0]
    got = getattr(parse_params(Params, [f"--{word}"]), name)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("count=2.5", "'2.5' is not a whole number"),
        ("count=11", "11 is out of range: -5 to 10"),
        ("count=many", "'many' is not a number"),
        ("count=inf", "not a finite number"),
        ("prob_thresh=nan", "not a finite number"),
        ("prob_thresh=-0.1", "out of range: 0.0 to 1.0"),
        ("prob_thresh=0,5", "'0,5' is not a number"),
        ("voxel_size_z=-1", "out of range: at least 0.0"),
        ("tta=maybe", "'maybe' is neither true nor false"),
        ("mode=medium", "'medium' is not one of fast, slow"),
    ],
)
def test_bad_values_name_the_flag_and_the_reason(word, reason):
    with pytest.raises(NucsegError) as caught:
        parse_params(Params, [f"--{word}"])
    assert caught.value.exit_code == USAGE
    assert caught.value.cause.startswith(f"--{word.split('=')[0]}: ")
    assert reason in caught.value.cause


def test_flags_are_snake_case_even_for_true_booleans():
    assert flags(Params) == [f"--{name}" for name in Params.__dataclass_fields__]
    assert "--prob_thresh" in flags(Params)
    for dashed in ("--prob-thresh=0.1", "--no-tta"):
        with pytest.raises(NucsegError):
            parse_params(Params, [dashed])


def test_no_abbreviations():
    with pytest.raises(NucsegError):
        parse_params(Params, ["--prob=0.1"])


def test_help_has_default_and_range_of_every_parameter():
    text = " ".join(help_text(Params).split())
    assert "--prob_thresh X Least probability, 50% by default. [default 0.5; 0.0 to 1.0]" in text
    assert "--tta true|false Average over flips. [default true]" in text
    assert "[default fast; one of fast, slow]" in text
    for flag in flags(Params):
        assert flag in text


@pytest.mark.parametrize(
    "declared",
    [
        (float | None, parameter(0.0, "a", "b")),
        (float, parameter(0, "a", "b")),
        (int, parameter(True, "a", "b")),
        (float, field(default=0.0)),
        (list, parameter("", "a", "b")),
    ],
)
def test_a_field_that_cannot_be_a_flag_is_refused(declared):
    kind, default = declared
    broken = dataclass(type("Broken", (), {"__annotations__": {"x": kind}, "x": default}))
    with pytest.raises(TypeError, match=r"Broken\.x"):
        parameters(broken)
