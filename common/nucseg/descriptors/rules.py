"""Rules that the BIAFLOWS family of dialects shares: names, images, values and command lines.

What the consumers really do with each field was read and tried in their own source.
"""

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any, TypeGuard

from nucseg.cli import RESERVED

# Beyond our own flags: keyword arguments of BIOMERO's client, and variables of the job, because
# BIOMERO sets a shell variable named like the parameter in capitals, in the container too.
_TAKEN = """
    self workflow workflow_name workflow_version input_data email time wf_id
    data_path image_path image_version singularity_image script_path gpu_flag do_convert output_dir
    path home user shell pwd oldpwd tmpdir tmp temp lang lc_all ifs term display hostname logname uid euid seconds
    random lineno pythonpath pythonhome cuda_visible_devices omp_num_threads modulepath ps1 ps4 env
    optind optarg reply groups ppid publickey privatekey basepath idsoftware idproject
"""
TAKEN = frozenset(_TAKEN.split())
TAKEN_PREFIXES = ("cytomine", "slurm_", "sbatch_", "apptainer", "singularity", "ld_", "bash_", "nvidia_", "nucseg_")

WRAPPER = "python wrapper.py"
"""What a BIAFLOWS command line begins with. It reaches our entrypoint as arguments, which are ignored."""


def command_line(ids: Iterable[str]) -> str:
    """The words in which a server replaces each key in brackets by a flag and a value."""
    return " ".join([WRAPPER, *(f"[{name.upper()}]" for name in ids)])


def filled(value: Any) -> bool:
    """Whether it is text that says something."""
    return isinstance(value, str) and bool(value.strip())


def check_texts(entry: dict[str, Any], keys: Iterable[str]) -> Iterator[str]:
    """Texts that people or programs need."""
    return (f"{key} is missing or empty" for key in keys if not filled(entry.get(key)))


def check_image(container: Any, name: str, kind: str) -> Iterator[str]:
    """The ``container-image``: a name that Docker, Cytomine's router and BIOMERO take apart alike."""
    if not isinstance(container, dict):
        yield "container-image: missing"
        return
    if container.get("type") != kind:
        yield f"container-image.type: must be {kind}"
    image = str(container.get("image"))
    part = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
    if not re.fullmatch(f"{part}/{part}", image):
        yield "container-image.image: must be namespace/name in lower case, without host, tag or digest"
    elif re.search(r"[-_](v|latest)", image.split("/")[1]):
        yield "container-image.image: BIOMERO would read a version out of a name with -v, _v, -latest or _latest"
    elif not image.endswith(name.lower()):
        yield "container-image.image: must end with the name"


def listed(entries: Any, key: str = "id") -> TypeGuard[list[dict[str, Any]]]:
    """Whether it is a list of objects, each with an id."""
    return isinstance(entries, list) and all(isinstance(e, dict) and filled(e.get(key)) for e in entries)


def check_ids(entries: Any, key: str = "id") -> Iterator[str]:
    """A list of objects, each with an id of its own."""
    if not listed(entries, key):
        yield f"must be a list of objects with an {key}"
        return
    for name, count in Counter(entry[key].lower() for entry in entries).items():
        if count > 1:
            yield f"{name}: occurs {count} times"


def check_name(name: str) -> Iterator[str]:
    """The id of a parameter: a flag, a shell variable and a keyword argument at once."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        yield "an id is made of small letters, digits and underscores"
    if name in TAKEN or name.startswith(TAKEN_PREFIXES):
        yield "the name is taken by the shell, BIOMERO or Cytomine"
    # argparse, in the BIAFLOWS wrapper library, takes every beginning of a flag for the flag.
    clash = sorted(flag for flag in RESERVED if flag == name or flag.startswith(name))
    if clash:
        yield f"means the flag --{clash[0]}"


def check_value(value: Any, types: Collection[type], choices: Any = None, **bounds: Any) -> Iterator[str]:
    """A default: of one of the types to the letter (1 is no float), one of the choices, within the bounds."""
    if type(value) not in types:
        yield f"the default {value!r} is not of type {' or '.join(kind.__name__ for kind in types) or 'known'}"
        return
    if choices is not None and (type(value) is not str or value not in choices):
        yield "choices belong to a text, and the default is one of them"
    for text in (value, *(choices or ())):
        if isinstance(text, str) and re.search(r"[\s$`\"'\\]", text):
            yield f"{text!r} holds a blank or a character of the shell"
    bounds = {key: bound for key, bound in bounds.items() if bound is not None}
    if type(value) in (int, float):
        yield from _check_number(value, bounds)
    elif bounds:
        yield "only a number has bounds"


def _check_number(value: int | float, bounds: dict[str, Any]) -> Iterator[str]:
    if not math.isfinite(value):
        yield "the default is not finite"
    for key, bound in bounds.items():
        if type(bound) is not type(value):
            yield f"{key} and default must both be whole or both have a decimal point"
        elif value < bound if key == "minimum" else value > bound:
            yield f"the default is beyond the {key}"


def check_command(line: Any, ids: Iterable[str]) -> Iterator[str]:
    """A command line that `command_line` would write, in any order of the keys."""
    words = str(line).split(" ")
    if " ".join(words[:2]) != WRAPPER:
        yield f"command-line: must begin with {WRAPPER}"
    wanted = [f"[{name.upper()}]" for name in ids]
    for key in wanted:
        if key not in words:
            yield f"command-line: lacks {key}"
    for word in words[2:]:
        if word not in wanted:
            yield f"command-line: {word!r} belongs to no input"
