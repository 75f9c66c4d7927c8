"""The descriptors of all methods, read by the programs that they are for."""

import json
import shlex
from dataclasses import fields, replace
from pathlib import Path

import pytest
import yaml

from nucseg import cli
from nucseg.descriptors import DIALECTS
from nucseg.method import list_methods, load_method

pytestmark = pytest.mark.needs("clients")

ROOT = Path(__file__).resolve().parents[2]
METHODS = list_methods()
BIOMERO_TYPES = {bool: "boolean", int: "integer", float: "float", str: "string"}


def load(name, dialect):
    path = ROOT / "descriptors" / DIALECTS[dialect].file.format(name)
    return (json.loads if path.suffix == ".json" else yaml.safe_load)(path.read_text("utf-8"))


@pytest.fixture(scope="module", params=["cytomine", "biomero", "bilayers"])
def understood(request, client):
    """All descriptors of a dialect, as BIOMERO understands them; it detects the dialect itself."""
    read = client("biomero_read", given=[load(name, request.param) for name in METHODS])
    return dict(zip(METHODS, read, strict=True))


@pytest.mark.parametrize("name", METHODS)
def test_biomero_understands_every_parameter(name, understood):
    assert "fault" not in understood[name]
    params = {entry["id"]: entry for entry in understood[name]["inputs"] if not entry["set-by-server"]}
    expected = fields(load_method(name).params)
    assert list(params) == [item.name for item in expected]
    for item in expected:
        found = params[item.name]
        assert found["type"] == BIOMERO_TYPES[item.type]
        assert type(found["default-value"]) is item.type
        assert found["default-value"] == item.default
        assert found["command-line-flag"].replace("@id", item.name) == f"--{item.name}"
    assert understood[name]["container-image"]["image"] == f"nucseg/{name}"
    # Else it would hand over OME-Zarr and nothing else.
    assert not understood[name]["requires-zarr"]


def test_biomero_makes_regions_of_interest_of_all_labels(client):
    for read in client("biomero_read", given=[load(name, "biomero") for name in METHODS]):
        assert [(entry["type"], entry["sub-type"]) for entry in read["outputs"]] == [("image", ["label"])]


CHOSEN = {"voxel_size_z": 2.5, "nuc_channel": -1, "use_gpu": "false", "model": "mine"}
FOLDERS = {"infolder": ".", "outfolder": "out"}


@pytest.fixture(scope="module")
def commands(client):
    """By method, what `bosh` makes of an invocation without parameters and of one with some."""
    pairs = [(load(name, "boutiques"), FOLDERS | values) for name in METHODS for values in ({}, CHOSEN)]
    results = client("boutiques_run", given=pairs)
    return dict(zip(METHODS, zip(results[::2], results[1::2], strict=True), strict=True))


@pytest.mark.parametrize("name", METHODS)
def test_bosh_accepts_it_and_its_command_says_what_was_asked_for(name, commands, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    method = load_method(name)
    filled = replace(method.params(), voxel_size_z=2.5, use_gpu=False, model="mine")
    for result, params in zip(commands[name], (method.params(), filled), strict=True):
        program, *words = shlex.split(result["command"])
        request = cli.parse(words, method)
        assert program == "/opt/nucseg/bin/nucseg-run"
        assert request.params == params
        assert (request.in_dir, request.out_dir) == (tmp_path, tmp_path / "out")


def test_bosh_refuses_a_wrong_invocation_before_it_starts(client):
    wrong = {"voxel_size_z": -1, "nuc_channel": 1.5, "use_gpu": "perhaps", "no_such": 1}
    given = [(load("unet3d", "boutiques"), FOLDERS | {key: value}) for key, value in wrong.items()]
    for key, result in zip(wrong, client("boutiques_run", given=given), strict=True):
        assert key in result["fault"]


def test_bioimageio_finds_them_valid(client):
    for result in client("bioimageio_validate", given=[load(name, "bioimageio") for name in METHODS]):
        assert result == {"status": "valid-format", "type": "application", "errors": []}


@pytest.mark.parametrize("name", METHODS)
def test_the_command_of_bilayers_is_understood(name):
    """Its generator puts the defaults behind the flags, in this order (bilayers/cli_generator.py of 0.1.0)."""
    descriptor = load(name, "bilayers")
    words = [entry["cli_tag"] + entry["folder_name"] for entry in descriptor["inputs"]]
    words += [f"{entry['cli_tag']}{entry['default']}" for entry in descriptor["parameters"]]
    method = load_method(name)
    request = cli.parse(words, method)
    assert request.params == method.params()
    assert [str(request.in_dir), str(request.out_dir)] == ["/bilayers/input_images", "/bilayers/output_images"]
