"""The command line, as people, BIOMERO and BIAFLOWS servers write it."""

import shlex
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from nucseg.cli import RESERVED, Check, Segment, Serve, Train, parse, quick_command
from nucseg.errors import USAGE, NucsegError
from nucseg.params import CommonParams, parameter
from nucseg.server.account import Account
from nucseg.usage import usage


@dataclass(frozen=True)
class Params(CommonParams):
    prob_thresh: float = parameter(0.5, "Threshold", "Least probability.", minimum=0.0, maximum=1.0)
    model: str = parameter("general", "Model", "Name or folder.")


@dataclass(frozen=True)
class TrainParams:
    steps: int = parameter(3000, "Steps", "How many.", minimum=1)


class Method:
    name, title, description, citation = "stardist3d", "StarDist 3D", "Star-convex polyhedra.", "Weigert 2020"
    params, train_params = Params, TrainParams


def segment(*words):
    request = parse(["--in", "/data", "--out", "/out", *words], Method())
    assert isinstance(request, Segment)
    return request


def error(*words):
    with pytest.raises(NucsegError) as caught:
        parse(words, Method())
    assert caught.value.exit_code == USAGE
    return caught.value


def test_a_method_without_training_says_so():
    class Untrained(Method):
        train_params = None

    with pytest.raises(NucsegError, match="StarDist 3D is used with its published weights"):
        parse(["train", "--in", "/data", "--gt", "/gt", "--out", "/out"], Untrained())


def test_shortest():
    request = segment()
    assert request == Segment(Path("/data"), Path("/out"), None, False, "auto", None, None, False, Params(), ())


def test_everything():
    words = shlex.split(
        "--gt=/gt --device cpu --measurements /m --overlays=/o --resume --prob_thresh=0.25 --nuc_channel -1"
    )
    request = segment(*words)
    assert request.gt_dir == Path("/gt")
    assert request.metrics
    assert request.device == "cpu"
    assert (request.measurements, request.overlays) == (Path("/m"), Path("/o"))
    assert request.resume
    assert request.params == Params(prob_thresh=0.25, nuc_channel=-1)
    assert request.warnings == ()


def test_biomero(monkeypatch, tmp_path):
    """The words of BIOMERO's job script: relative folders, every parameter, `None` for what was cleared."""
    monkeypatch.chdir(tmp_path)
    job = "my-scratch/data/job [1] a.lif"
    values = {item.name: "None" for item in fields(Params)} | {
        "prob_thresh": "0.1",
        "use_gpu": "False",
        "time_point": "2.0",
    }
    words = [f"--infolder={job}/in", "--gtfolder", f"{job}/gt", "--outfolder", f"{job}/out"]
    request = parse([*words, *(f"--{name}={value}" for name, value in values.items()), "--local", "-nmc"], Method())
    assert isinstance(request, Segment)
    assert request.in_dir == tmp_path / job / "in"
    assert request.out_dir == tmp_path / job / "out"
    assert not request.metrics
    assert request.params == Params(prob_thresh=0.1, use_gpu=False, time_point=2)
    assert request.warnings == ()


def test_biaflows_server_line_with_folders():
    """The words `python wrapper.py` arrive too, and value keys of empty parameters stay in the line."""
    line = (
        "python wrapper.py --cytomine_host http://h --cytomine_public_key K --cytomine_id_project 3 "
        "--prob_thresh [PROB_THRESH] --nuc_channel NUC_CHANNEL [VOXEL_SIZE_Z] MODEL [CYTOMINE_ID_SOFTWARE] "
        "--infolder /in --outfolder /out --use_gpu false"
    )
    request = parse(line.split(), Method())
    assert isinstance(request, Segment)
    assert request.params == Params(use_gpu=False)
    told = "\n".join(request.warnings)
    for word in ("python wrapper.py", "[PROB_THRESH]", "NUC_CHANNEL", "[VOXEL_SIZE_Z]", "MODEL", "--cytomine_host"):
        assert word in told


SERVER_LINE = (
    "python wrapper.py --cytomine_host http://h --cytomine_public_key K --cytomine_private_key S "
    "--cytomine_id_project 3 --cytomine_id_software=4 --prob_thresh 0.2 [NUC_CHANNEL]"
)


def test_a_biaflows_server_s_line_is_a_job():
    request = parse([*SERVER_LINE.split(), "-nmu"], Method())
    assert isinstance(request, Serve)
    assert request.account == Account("http://h", "K", "S", 3, 4)
    assert request.params == Params(prob_thresh=0.2)
    assert (request.metrics, request.upload_metrics, request.upload_annotations) == (True, False, True)
    assert not any("server" in warning for warning in request.warnings)


def test_the_private_key_is_never_shown():
    request = parse(SERVER_LINE.replace(" S ", " secret ").split(), Method())
    assert "secret" not in repr(request)


@pytest.mark.parametrize("words", ["--local", "-nd -nmu -nau"])
def test_a_server_is_left_alone_when_the_caller_says_so(words):
    assert "--in and --out is missing" in error(*SERVER_LINE.split(), *words.split()).cause


@pytest.mark.parametrize("value", ["None", "", "[CYTOMINE_PUBLIC_KEY]", "CYTOMINE_PUBLIC_KEY"])
def test_a_server_needs_all_that_the_client_needs(value):
    words = [value if word == "K" else word for word in SERVER_LINE.split()]
    cause = error(*words)
    assert "--cytomine_public_key is missing" in cause.cause
    assert "--infolder" in cause.hint
    assert "not both numbers" in error(*SERVER_LINE.replace("project 3", "project x").split()).cause


@pytest.mark.parametrize("word", ["-nmc", "--nmc", "--no_metrics_computation", "--nometrics"])
def test_no_metrics(word):
    assert not segment("--gt", "/gt", word).metrics
    assert segment("--gt", "/gt", f"{word}=false").metrics


@pytest.mark.parametrize("words", ["-l", "--local", "--local=True", "-nd -nmu -nau", "--nodownload --noexport"])
def test_words_for_no_server_need_no_warning(words):
    assert segment(*words.split()) == segment()


@pytest.mark.parametrize(
    "words",
    [
        "--batch_size 2",
        "--batch_size=2",
        "-t",
        "--tiling -tw 64",
        "--descriptor /app/descriptor.json",
        "--tilefolder x",
    ],
)
def test_biaflows_words_without_a_meaning_are_named_in_one_warning(words):
    request = segment(*words.split())
    assert request.params == Params()
    assert len(request.warnings) == 1
    assert words.split("=")[0].split()[0] in request.warnings[0]


def test_values_with_equals_blanks_and_minus():
    assert segment("--model", "/my models/a=b").params.model == "/my models/a=b"
    assert segment("--model=/my models/a=b").params.model == "/my models/a=b"
    assert "out of range" in error("--in", "/a", "--out", "/b", "--voxel_size_z", "-1.5").cause


def test_the_last_of_two_counts():
    assert segment("--prob_thresh=0.1", "--prob_thresh", "0.2").params.prob_thresh == 0.2


def test_a_boolean_without_value_is_true():
    assert segment("--exact", "-nmc").params.exact
    assert segment("--exact").params.exact
    assert not segment("--exact", "no").params.exact


def test_a_part_of_the_images_with_a_record_of_its_own():
    request = segment("--only=a b.tif", "--only", "[1] µ.tif", "--only=-1.tif", "--record", "/out/tasks/7.json")
    assert request.only == ("a b.tif", "[1] µ.tif", "-1.tif")
    assert request.record == Path("/out/tasks/7.json")
    assert segment("--only=None").only == ()


@pytest.mark.parametrize("value", ["", "None"])
def test_a_cleared_folder_is_none(value):
    assert segment(f"--gt={value}").gt_dir is None
    assert "--out is missing" in error("--in", "/data", f"--out={value}").cause


@pytest.mark.parametrize(
    ("words", "cause", "hint"),
    [
        ([], "--in and --out is missing", "--in FOLDER --out FOLDER"),
        (["--in", "/data"], "--out is missing", "--out FOLDER"),
        (["/data", "/out"], "--in and --out is missing", "--in FOLDER"),
        (["--in", "/data", "--prob-thresh", "1"], "--prob-thresh is unknown", "--prob_thresh"),
        (["--in", "/data", "--prob", "1"], "--prob is unknown", "--prob_thresh"),
        (["--in", "/data", "--infoldre=x"], "--infoldre is unknown", "--infolder"),
        (["--in", "/data", "--steps", "3"], "--steps is unknown", "--help"),
        (["-x"], "-x is unknown", "--help"),
        (["--in", "/my", "data", "--out", "/out"], "'data' belongs to no flag", "quotes"),
        (["--in", "--out", "/out"], "--in names no path", "--in=PATH"),
        (["--in", "/a", "--out", "/b", "--prob_thresh"], "--prob_thresh has no value", "--prob_thresh=VALUE"),
        (["--in", "/a", "--out", "/b", "--prob_thresh", "2"], "2 is out of range", "--help"),
        (["--in", "/a", "--out", "/b", "--device", "gpu"], "'gpu' is not one of auto, cpu, cuda", "--device auto"),
        (["train", "--in", "/a", "--out", "/b"], "--gt is missing", "train --in FOLDER --gt FOLDER"),
        (["train", "--in", "/a", "--prob_thresh", "0.1"], "--prob_thresh is unknown", "--help"),
        (["--in", "/a", "train", "--out", "/b"], "'train' belongs to no flag", "quotes"),
    ],
)
def test_errors_name_the_word_and_what_to_write(words, cause, hint):
    caught = error(*words)
    assert cause in caught.cause
    assert hint in caught.hint


def test_train():
    request = parse(shlex.split("train --in a --gt b --out c --steps 10 --device cpu"), Method())
    here = Path.cwd()
    assert request == Train(here / "a", here / "b", here / "c", None, None, False, "cpu", TrainParams(10), ())


def test_check_needs_no_folders():
    assert parse(["--check", "--model", "x", "--device=cpu"], Method()) == Check("cpu", Params(model="x"), ())


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["--version"], "version"),
        (["train", "--help"], "help"),
        (["--nonsense", "-h"], "help"),
        (["python", "wrapper.py", "--describe"], "describe"),
        (["--in", "a"], None),
        ([], None),
    ],
)
def test_quick_commands(words, command):
    assert quick_command(words) == command


def test_help_names_every_flag():
    text = usage(Method(), train=False)
    for item in fields(Params):
        assert f"--{item.name} " in text
    for flag in ("--in", "--out", "--gt", "-nmc", "--measurements", "--overlays", "--resume", "--device", "--check"):
        assert f"  {flag} " in text
    assert "docker run" in text
    assert "--steps N" in usage(Method(), train=True)


def test_no_parameter_has_a_reserved_name():
    assert not RESERVED & {item.name for item in fields(Params)}
