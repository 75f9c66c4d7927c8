"""OMERO's BIOMERO reads our descriptors, and what its job script says to a container is what a user meant."""

import os
import subprocess
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from nucseg import __version__, cli
from nucseg.descriptors import DIALECTS
from nucseg.method import list_methods, load_method

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.needs("clients")

# Stands where Apptainer is on a cluster and writes down what it is told; test_command_lines.py has the real one.
RECORDER = """#!/bin/bash
printf '%s\\0' "$@" > words
touch my-scratch/data/job/data/out/done
"""


@pytest.fixture
def submit(client, tmp_path, monkeypatch):
    """Make the job of a descriptor and run it as the submission does; returns the words behind ``singularity``."""
    program = tmp_path / "bin" / "singularity"
    program.parent.mkdir()
    program.write_text(RECORDER)
    program.chmod(0o755)
    (tmp_path / "my-scratch/data/job/data/out").mkdir(parents=True)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    def submit(descriptor, *values):
        job = client("biomero_job", descriptor, tmp_path, "--version", f"v{__version__}", *values)
        exports = job["submission"].partition(" && ")[0]
        subprocess.run(["bash", "-c", f"{exports}; bash {job['job']}"], cwd=tmp_path, check=True, capture_output=True)
        return (tmp_path / "words").read_text().rstrip("\0").split("\0")

    return submit


@pytest.mark.parametrize("dialect", ["cytomine", "biomero", "bilayers"])
@pytest.mark.parametrize("name", list_methods())
def test_its_job_says_the_defaults(name, dialect, submit, tmp_path, monkeypatch):
    words = submit(f"descriptors/{DIALECTS[dialect].file.format(name)}")
    assert words[:3] == ["run", "--nv", f"my-scratch/singularity_images/workflows/{name}/{name}_v{__version__}.sif"]
    monkeypatch.chdir(tmp_path)
    method = load_method(name)
    request = cli.parse(words[3:], method)
    assert request.params == method.params()
    assert request.in_dir == tmp_path / "my-scratch/data/job/data/in"
    assert request.out_dir == tmp_path / "my-scratch/data/job/data/out"
    assert not request.metrics
    assert request.warnings == ()


@pytest.mark.parametrize("name", list_methods())
def test_a_form_that_was_filled_in_or_cleared_arrives(name, submit):
    method = load_method(name)
    cleared = submit(f"descriptors/{name}.json", *(f"{key}=null" for key in asdict(method.params())))
    assert cli.parse(cleared[3:], method).params == method.params()

    filled = submit(f"descriptors/{name}.json", "voxel_size_z=1e-05", "nuc_channel=2", "use_gpu=false", 'model="my.1"')
    wanted = replace(method.params(), voxel_size_z=1e-05, nuc_channel=2, use_gpu=False, model="my.1")
    assert cli.parse(filled[3:], method).params == wanted


def test_a_site_gets_every_method_with_what_it_needs_from_the_lines_for_its_config(client):
    workflows = client("biomero_config", ROOT / "descriptors" / "biomero" / "slurm-config.ini")
    assert sorted(workflows) == list_methods()
    for name, workflow in workflows.items():
        needed = load_method(name).resources
        assert workflow["repository"].endswith(f"/nucseg/tree/v{__version__}/descriptors/biomero/{name}.json")
        assert workflow["image"] == f"nucseg/{name}"
        assert workflow["job"] == f"jobs/{name}.sh"
        gpu = [" --gres=gpu:1"] if needed.gpu else []
        assert workflow["options"] == [f" --cpus-per-task={needed.cores}", f" --mem={needed.memory_gb}G", *gpu]
