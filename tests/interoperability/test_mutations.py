"""Good descriptors spoilt in many ways: each is caught by our own check or by the real reader.

The descriptor of BIAFLOWS has its own such table in tests/unit/descriptors/test_cytomine.py.
"""

import json
import re
import runpy
from copy import deepcopy
from pathlib import Path

import pytest

from nucseg.descriptors import DIALECTS

METHOD = runpy.run_path(str(Path(__file__).resolve().parents[1] / "methods/images/threshold/method.py"))["METHOD"]
GOOD = {key: dialect.make(METHOD) for key, dialect in DIALECTS.items()}


def find(part, path):
    """The object that a path ends in and its key there; a member of a list is named by its id, name or place."""
    *steps, last = path.split("/")
    for step in steps:
        part = part[key_in(part, step)]
    return part, key_in(part, last)


def key_in(part, step):
    if not isinstance(part, list):
        return step
    return next((n for n, entry in enumerate(part) if step in (entry.get("id"), entry.get("name"), str(n))))


def put(path, value):
    def apply(descriptor):
        part, key = find(descriptor, path)
        part[key] = value

    return apply


def drop(path):
    def apply(descriptor):
        part, key = find(descriptor, path)
        del part[key]

    return apply


def double(path, **changes):
    def apply(descriptor):
        part, key = find(descriptor, path)
        part.append(deepcopy(part[key]) | changes)

    return apply


def rename(old, new):
    """Everywhere, so that nothing is wrong but the name itself."""

    def apply(descriptor):
        text = json.dumps(descriptor)
        for before, after in ((old, new), (old.upper(), new.upper())):
            text = re.sub(rf"\b{before}\b", after, text)
        descriptor.update(json.loads(text))

    return apply


def replace(path, old, new):
    def apply(descriptor):
        part, key = find(descriptor, path)
        assert old in part[key]
        part[key] = part[key].replace(old, new)

    return apply


SPOILT = {
    "biomero": {
        "no description": drop("description"),
        "blank description": put("description", " "),
        "no command line": drop("command-line"),
        "other schema": put("schema-version", "biomero-0.2"),
        "misspelt key": put("problem_class", "object-segmentation"),
        "no citations": drop("citations"),
        "empty citations": put("citations", []),
        "citation without licence": drop("citations/0/license"),
        "citation without name": drop("citations/0/name"),
        "unknown problem class": put("problem-class", "segmentation"),
        "other problem class": put("problem-class", "object-tracking"),
        "no image": drop("container-image"),
        "image with host": put("container-image/image", "example.org/nucseg/threshold"),
        "image with tag": put("container-image/image", "nucseg/threshold:v1"),
        "image without namespace": put("container-image/image", "threshold"),
        "image type": put("container-image/type", "rootfs"),
        "inputs not a list": put("inputs", {}),
        "input without id": drop("inputs/sigma/id"),
        "input twice": double("inputs/sigma"),
        "type of BIAFLOWS": put("inputs/use_gpu/type", "Boolean"),
        "float written as integer": put("inputs/sigma/default-value", 0),
        "integer written as float": put("inputs/min_voxels/default-value", 1.0),
        "Boolean as text": put("inputs/use_gpu/default-value", "true"),
        "Boolean as number": put("inputs/use_gpu/default-value", 1),
        "default as list": put("inputs/sigma/default-value", [0.0]),
        "no default": drop("inputs/sigma/default-value"),
        "not finite": put("inputs/sigma/default-value", float("inf")),
        "default not a choice": put("inputs/connectivity/default-value", "edge"),
        "default with blank": put("inputs/model/default-value", "my model"),
        "choice of the shell": put("inputs/connectivity/value-choices", ["face", "$HOME"]),
        "parameter set by server": put("inputs/sigma/set-by-server", True),
        "parameter compulsory": put("inputs/sigma/optional", False),
        "other flag": put("inputs/sigma/command-line-flag", "--blur"),
        "no help": put("inputs/sigma/description", ""),
        "name of BIOMERO": rename("sigma", "time"),
        "name of the shell": rename("sigma", "path"),
        "name of the wrapper": rename("sigma", "batch_size"),
        "beginning of a flag": rename("sigma", "tile"),
        "name with hyphen": rename("sigma", "sig-ma"),
        "images as a field": put("inputs/infolder/set-by-server", False),
        "no images": drop("inputs/infolder"),
        "sub-type as text": put("outputs/outfolder/sub-type", "label"),
        "no outputs": put("outputs", []),
        "key missing in the line": replace("command-line", " [SIGMA]", ""),
        "unknown key in the line": replace("command-line", "[SIGMA]", "[SIGMA] [OTHER]"),
    },
    "boutiques": {
        "no version of the tool": drop("tool-version"),
        "other schema": put("schema-version", "0.4"),
        "no description": drop("description"),
        "no command line": drop("command-line"),
        "misspelt key": put("commandline", "nucseg-run"),
        "no inputs": drop("inputs"),
        "key missing in the line": replace("command-line", " [SIGMA]", ""),
        "input twice": double("inputs/sigma"),
        "value key twice": double("inputs/sigma", id="other", name="Other"),
        "id with hyphen": put("inputs/sigma/id", "sig-ma"),
        "no type": drop("inputs/sigma/type"),
        "type of BIAFLOWS": put("inputs/use_gpu/type", "Boolean"),
        "default as text": put("inputs/sigma/default-value", "0.0"),
        "default beyond the maximum": put("inputs/sigma/default-value", 11.0),
        "default below the minimum": put("inputs/min_voxels/default-value", 0),
        "fraction for an integer": put("inputs/min_voxels/default-value", 1.5),
        "bounds crossed": put("inputs/sigma/minimum", 11.0),
        "default not a choice": put("inputs/connectivity/default-value", "edge"),
        "choices empty": put("inputs/connectivity/value-choices", []),
        "switch as a flag": put("inputs/use_gpu/type", "Flag"),
        "folder of results twice": double("output-files/labels"),
        "no path of results": drop("output-files/labels/path-template"),
        "exit code as text": put("error-codes/0/code", "1"),
        "image without name": drop("container-image/image"),
        "image type": put("container-image/type", "oci"),
    },
    "bilayers": {
        "no citations": drop("citations"),
        "citation without description": drop("citations/0/description"),
        "citation without name": drop("citations/0/name"),
        "image without organisation": drop("docker_image/org"),
        "image without platform": drop("docker_image/platform"),
        "tag with an entrypoint": put("docker_image/tag", "v0.1.0"),
        "no function": drop("exec_function"),
        "other program": put("exec_function/cli_command", "python run.py"),
        "no folder": drop("algorithm_folder_name"),
        "no inputs": drop("inputs"),
        "inputs not a list": put("inputs", {}),
        "input optional": put("inputs/infolder/optional", True),
        "input without depth": drop("inputs/infolder/depth"),
        "input as file": put("inputs/infolder/type", "file"),
        "input without format": put("inputs/infolder/format", []),
        "output without unique string": drop("outputs/labels/unique_string"),
        "output without folder": drop("outputs/labels/folder_name"),
        "parameter twice": double("parameters/sigma"),
        "parameter without name": drop("parameters/sigma/name"),
        "parameter without section": drop("parameters/sigma/section_id"),
        "unknown mode": put("parameters/sigma/mode", "expert"),
        "unknown widget": put("parameters/sigma/type", "slider"),
        "integer in a float's widget": put("parameters/sigma/default", 0),
        "Boolean as text": put("parameters/use_gpu/default", "True"),
        "checkbox that only switches on": put("parameters/use_gpu/append_value", False),
        "radio without options": drop("parameters/connectivity/options"),
        "default not an option": put("parameters/connectivity/default", "edge"),
        "flag and value apart": put("parameters/nuc_channel/cli_tag", "--nuc_channel"),
        "other flag": put("parameters/sigma/cli_tag", "--blur="),
        "folder of results untold": drop("parameters/outfolder/output_dir_set"),
        "parameter compulsory": put("parameters/sigma/optional", False),
        "name of BIOMERO": rename("sigma", "email"),
        "name of the shell": rename("sigma", "home"),
    },
    "bioimageio": {
        "no name": drop("name"),
        "empty name": put("name", ""),
        "name with slash": put("name", "nucseg/threshold"),
        "unknown type": put("type", "container"),
        "type of a network": put("type", "model"),
        "future format": put("format_version", "9.0.0"),
        "no format": drop("format_version"),
        "unknown licence": put("license", "BSD"),
        "author without name": drop("authors/0/name"),
        "author with slash": put("authors/0/name", "a/b"),
        "citation without text": drop("cite/0/text"),
        "citation without source": drop("cite/0/doi"),
        "faulty DOI": put("cite/0/doi", "41592-025"),
        "faulty version": put("version", "first"),
        "faulty address": put("git_repo", "nucseg"),
        "documentation not Markdown": replace("documentation", "README.md", "README.pdf"),
        "tags as text": put("tags", "3d"),
    },
}
CASES = [
    pytest.param(
        dialect, way, id=f"{dialect}: {way}", marks=[] if DIALECTS[dialect].check else [pytest.mark.needs("clients")]
    )
    for dialect, ways in SPOILT.items()
    for way in ways
]


def spoil(dialect, way):
    descriptor = deepcopy(GOOD[dialect])
    SPOILT[dialect][way](descriptor)
    # As text, because 0 equals 0.0.
    assert json.dumps(descriptor) != json.dumps(GOOD[dialect])
    return descriptor


@pytest.fixture(scope="module")
def faults(client):
    """``faults(dialect)``: what the real reader says against the good descriptor (None) and against each spoilt one."""
    known = {}

    def read(dialect):
        given = [GOOD[dialect], *(spoil(dialect, way) for way in SPOILT[dialect])]
        if dialect == "bioimageio":
            results = client("bioimageio_validate", given=given)
            return [result["errors"] or result["type"] != "application" for result in results]
        if dialect == "boutiques":
            given = [(descriptor, {"infolder": ".", "outfolder": "out"}) for descriptor in given]
            return [result.get("fault") for result in client("boutiques_run", given=given)]
        return [result.get("fault") for result in client("biomero_read", given=given)]

    def faults(dialect):
        if dialect not in known:
            known[dialect] = dict(zip([None, *SPOILT[dialect]], read(dialect), strict=True))
        return known[dialect]

    return faults


@pytest.mark.parametrize("dialect", [name for name, entry in DIALECTS.items() if entry.check])
def test_the_good_one_passes_our_check(dialect):
    assert DIALECTS[dialect].check(GOOD[dialect]) == []


@pytest.mark.needs("clients")
@pytest.mark.parametrize("dialect", SPOILT)
def test_the_good_one_passes_the_reader(dialect, faults):
    assert not faults(dialect)[None]


@pytest.mark.parametrize(("dialect", "way"), CASES)
def test_a_spoilt_one_is_caught(dialect, way, request):
    check = DIALECTS[dialect].check
    if check:
        assert check(spoil(dialect, way))
    else:
        assert request.getfixturevalue("faults")(dialect)[way]


@pytest.mark.needs("clients")
@pytest.mark.parametrize("dialect", [name for name in SPOILT if DIALECTS[name].check])
def test_our_check_is_never_more_lenient_than_the_reader(dialect, faults):
    refused = {way for way, fault in faults(dialect).items() if fault}
    assert refused
    assert all(DIALECTS[dialect].check(spoil(dialect, way)) for way in refused)
