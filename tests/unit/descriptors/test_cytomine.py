"""The descriptor of BIAFLOWS and Cytomine: what is generated is good, and each of many ways to spoil it is noticed."""

import json
import re
from copy import deepcopy
from dataclasses import dataclass, fields

import pytest

from nucseg.descriptors.cytomine import check, make, text
from nucseg.params import CommonParams, parameter


@dataclass(frozen=True)
class Params(CommonParams):
    prob: float = parameter(0.5, "Probability", "Least probability.", minimum=0, maximum=1)
    prob_thresh: float = parameter(0.0, "Threshold", "Its name begins with another one's.", minimum=0.0)
    mode: str = parameter("fast", "Mode", "Way.", choices=("fast", "slow"))
    model: str = parameter("general", "Model", "Name or folder.")


class Method:
    name, title, description, citation = "mymethod", "My method", "Finds nuclei.", "doi"
    params, train_params = Params, Params


GOOD = make(Method())


def entry(descriptor, name):
    return next(item for item in descriptor["inputs"] if item["id"] == name)


def test_the_generated_one_is_good():
    assert check(GOOD) == []


def test_every_parameter_is_there_with_its_type_and_default():
    kinds = {bool: "Boolean", int: "Number", float: "Number", str: "String"}
    for item in fields(Params):
        found = entry(GOOD, item.name)
        assert found["type"] == kinds[item.type]
        assert found["default-value"] == item.default
        assert type(found["default-value"]) is item.type
    assert len(GOOD["inputs"]) == len(fields(Params)) + 5


def test_floats_keep_their_point_and_integers_have_none():
    written = text(Method())
    assert json.loads(written) == GOOD
    for item in fields(Params):
        default = re.search(rf'"id": "{item.name}".*?"default-value": ([^,\n]+)', written, re.DOTALL)[1]
        if item.type is float:
            assert "." in default
        if item.type is int:
            assert re.fullmatch(r"-?\d+", default)
    assert '"minimum": 0.0' in written
    assert '"maximum": 1.0' in written


def test_cytomine_fills_in_the_line():
    """Its own substitution: one value key after the other, by `flag value`."""
    line = GOOD["command-line"]
    for item in GOOD["inputs"]:
        line = line.replace(f"[{item['id'].upper()}]", f"--{item['id']} 1")
    assert line == "python wrapper.py " + " ".join(f"--{item['id']} 1" for item in GOOD["inputs"])


def change(**changes):
    def apply(descriptor):
        descriptor.update({key.replace("_", "-"): value for key, value in changes.items()})

    return apply


def change_image(**changes):
    return lambda descriptor: descriptor["container-image"].update(changes)


def change_input(name, /, **changes):
    def apply(descriptor):
        entry(descriptor, name).update({key.replace("_", "-"): value for key, value in changes.items()})

    return apply


def drop(name, key):
    return lambda descriptor: entry(descriptor, name).pop(key)


def rename(old, new):
    def apply(descriptor):
        entry(descriptor, old)["id"] = new
        descriptor["command-line"] = descriptor["command-line"].replace(f"[{old.upper()}]", f"[{new.upper()}]")

    return apply


def command(old, new):
    return lambda descriptor: descriptor.update({"command-line": descriptor["command-line"].replace(old, new)})


def without_input(name):
    def apply(descriptor):
        descriptor["inputs"].remove(entry(descriptor, name))
        descriptor["command-line"] = descriptor["command-line"].replace(f" [{name.upper()}]", "")

    return apply


SPOILT = {
    "name with blank": change(name="my method"),
    "no description": change(description=" "),
    "other schema": change(schema_version="cytomine-0.2"),
    "no schema": lambda d: d.pop("schema-version"),
    "no image": lambda d: d.pop("container-image"),
    "docker type": change_image(type="docker"),
    "tag": change_image(image="nucseg/mymethod:v1"),
    "digest": change_image(image="nucseg/mymethod@sha256"),
    "registry": change_image(image="ghcr.io/nucseg/mymethod"),
    "no namespace": change_image(image="mymethod"),
    "capitals": change_image(image="NucSeg/mymethod"),
    "version-like name": change_image(image="nucseg/nucseg-vmymethod"),
    "other name": change_image(image="nucseg/other"),
    "inputs not a list": change(inputs={}),
    "input without id": lambda d: d["inputs"].append({"type": "Number"}),
    "no host": without_input("cytomine_host"),
    "server input optional": change_input("cytomine_host", optional=True),
    "server input not set": change_input("cytomine_id_project", set_by_server=False),
    "server input with default": change_input("cytomine_public_key", default_value=""),
    "twice": lambda d: d["inputs"].append(deepcopy(entry(d, "prob"))),
    "unknown type": change_input("prob", type="number"),
    "no title": change_input("prob", name=""),
    "no help": drop("prob", "description"),
    "bare value key": change_input("prob", value_key="@ID"),
    "no flag": drop("prob", "command-line-flag"),
    "other flag": change_input("prob", command_line_flag="--probability"),
    "not optional": change_input("prob", optional=False),
    "optional missing": drop("prob", "optional"),
    "parameter set by server": change_input("prob", set_by_server=True),
    "no default": drop("prob", "default-value"),
    "default null": change_input("prob", default_value=None),
    "default as text": change_input("prob", default_value="0.5"),
    "default true for a number": change_input("nuc_channel", default_value=True),
    "default 1 for a boolean": change_input("use_gpu", default_value=1),
    "default not finite": change_input("prob", default_value=float("nan")),
    "default beyond maximum": change_input("prob", default_value=1.5),
    "default below minimum": change_input("prob", default_value=-0.5),
    "float written as integer": change_input("prob", default_value=1),
    "integer bound of a float": change_input("prob", maximum=1),
    "bound of a text": change_input("model", maximum=1),
    "text with blank": change_input("model", default_value="my model"),
    "text with dollar": change_input("model", default_value="$HOME"),
    "default not a choice": change_input("mode", default_value="medium"),
    "one spelling of choices": drop("mode", "values-choice"),
    "choice with quote": change_input("mode", value_choices=["fast", "a'b"], values_choice=["fast", "a'b"]),
    "choices of a number": change_input("prob", value_choices=[0.5], values_choice=[0.5]),
    "use_gpu as text": change_input("use_gpu", type="String", default_value="true"),
    "id with capital": rename("prob", "Prob"),
    "id with hyphen": rename("prob", "prob-t"),
    "id of the shell": rename("prob", "path"),
    "id of slurm": rename("prob", "slurm_x"),
    "id of biomero": rename("prob", "time"),
    "id of the wrapper": rename("prob", "batch_size"),
    "beginning of a flag": rename("prob", "tile"),
    "in": rename("prob", "in"),
    "device": rename("prob", "device"),
    "cytomine prefix": rename("prob", "cytomine_x"),
    "key missing in the line": command(" [MODE]", ""),
    "unknown key in the line": command("[MODE]", "[MODE] [OTHER]"),
    "double blank": command(" [MODE]", "  [MODE]"),
    "keys without brackets": command("[MODE]", "MODE"),
    "no wrapper words": command("python wrapper.py ", ""),
    "no command line": change(command_line=""),
}


@pytest.mark.parametrize("way", SPOILT)
def test_spoilt_descriptors_are_noticed(way):
    descriptor = deepcopy(GOOD)
    SPOILT[way](descriptor)
    faults = check(descriptor)
    assert faults
    assert all(": " in fault for fault in faults)
