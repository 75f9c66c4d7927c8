"""The batch script, run by bash as Slurm runs it, with a program of ours where Apptainer would be."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nucseg.errors import ENVIRONMENT, NucsegError
from nucseg.method import Resources, list_methods, load_method
from nucseg_launcher.catalogue import MethodEntry, get_method
from nucseg_launcher.engines.base import Job
from nucseg_launcher.engines.sif import sif_name
from nucseg_launcher.layout import MethodFolder
from nucseg_launcher.slurm import client
from nucseg_launcher.slurm.causes import LATE
from nucseg_launcher.slurm.script import SCRATCH, Wishes, script_text
from nucseg_launcher.slurm.submission import divide
from nucseg_launcher.slurm.submit import resources_of, text_of

NAMES = ("a b.tif", "it's.tif", '"q".tif', "$HOME `x`.tif", "[1] *.tif", "µ 細胞.tif", "-n.tif", "two\nlines.tif")
TELL = "import json, os, sys; print(json.dumps([sys.argv[1:], os.path.isdir(sys.argv[2])]))"
WAIT = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print("ready", flush=True)
time.sleep(300)
"""


JOB = Job("x", MethodEntry("deepsynth", {}, None), MethodFolder(Path("/out")), Path("/out"), Path("/in"))


def start(tmp_path, code, tasks, number):
    script = tmp_path / "submit.sbatch"
    words = [sys.executable, "-c", code, "--workdir", SCRATCH, "--in", "a 'b'"]
    script.write_text(script_text(JOB, words, tasks, Wishes("10", "1G", 2)), "utf-8")
    variables = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": str(number), "SLURM_CPUS_PER_TASK": "2"}
    environment = {**os.environ, **variables, "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir(exist_ok=True)
    return subprocess.Popen(
        ["bash", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", env=environment
    )


def test_each_task_gets_its_share_whatever_the_names_are(tmp_path):
    tasks = divide(NAMES, 3)
    shares = []
    for number in range(len(tasks)):
        out, err = start(tmp_path, TELL, tasks, number).communicate(timeout=120)
        words, has_scratch = json.loads(out.splitlines()[-1])
        assert has_scratch
        assert words[2:5] == ["--in", "a 'b'", f"--record=/out/tasks/7_{number}.json"]
        shares.append(tuple(word.removeprefix("--only=") for word in words[5:]))
        assert out.startswith(f"== task 7_{number} on ")
        assert err.startswith(f"== task 7_{number} on ")
    assert shares == [tuple(task) for task in tasks]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_the_container_is_told_its_share_of_the_node(tmp_path, monkeypatch):
    for name in ("SLURM_MEM_PER_NODE", "SLURM_CPUS_ON_NODE", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLURM_MEM_PER_CPU", "4096")
    tell = "import json, os; print(json.dumps({n: v for n, v in os.environ.items() if n.startswith('APPTAINERENV_')}))"
    out, _ = start(tmp_path, tell, [["a.tif"]], 0).communicate(timeout=120)
    told = {name.removeprefix("APPTAINERENV_"): value for name, value in json.loads(out.splitlines()[-1]).items()}
    assert told == {"OMP_NUM_THREADS": "2", "SLURM_MEM_PER_CPU": "4096"}


@pytest.mark.parametrize(("number", "is_late"), [(signal.SIGUSR1, True), (signal.SIGTERM, False)])
def test_a_signal_lets_the_container_finish(tmp_path, number, is_late):
    running = start(tmp_path, WAIT, [["a.tif"]], 0)
    while "ready" not in running.stdout.readline():
        assert running.poll() is None
    running.send_signal(number)
    _, err = running.communicate(timeout=120)
    assert running.returncode == 7
    assert (LATE in err) == is_late
    assert list((tmp_path / "tmp").iterdir()) == []


def test_options_of_sbatch():
    wishes = Wishes("10", "1G", 2, gres="gpu:1", account="my lab", at_once=3, more=("--qos=long",))
    lines = script_text(JOB, ["x"], divide(NAMES, 8), wishes).splitlines()
    for option in ("--array=0-7%3", "--time=10", "--mem=1G", "--cpus-per-task=2", "--gres=gpu:1", "--qos=long"):
        assert f"#SBATCH {option}" in lines
    assert "#SBATCH '--account=my lab'" in lines
    assert not any("partition" in line for line in lines)


def test_the_method_says_what_it_needs_and_the_user_knows_better():
    needs = Resources(cores=4, memory_gb=16, minutes=20)
    filled = Wishes().filled(needs, "auto", images_per_task=100)
    assert (filled.time, filled.memory, filled.cores, filled.gres) == ("1-09:20:00", "16G", 4, "")
    told = Wishes(time="5", memory="2G", cores=1, gres="gpu:a100:1", account="lab")
    assert told.filled(replace(needs, gpu=True), "auto", 1) == told


def test_memory_may_be_asked_for_per_core():
    wishes = Wishes(more=("--mem-per-cpu=4G",)).filled(Resources(), "auto", 1)
    assert wishes.memory == ""
    assert not any(option.startswith("--mem=") for option in wishes.options("deepsynth", 1))


@pytest.mark.parametrize(
    ("device", "is_slow_without", "gres"),
    [("auto", True, "gpu:1"), ("auto", False, ""), ("cuda", False, "gpu:1"), ("cpu", True, "")],
)
def test_who_gets_a_gpu(device, is_slow_without, gres):
    assert Wishes().filled(Resources(gpu=is_slow_without), device, 1).gres == gres


@pytest.mark.parametrize(
    ("option", "has_gpu"),
    [
        ("--gpus=1", True),
        ("-G1", True),
        ("--gpus-per-node=a100:2", True),
        ("--gres=gpu:a100:1", True),
        ("--tres-per-task=gres/gpu:1", True),
        ("--gres=shard:4", False),
        ("--cpus-per-gpu=4", False),
        ("--partition=gpu", False),
    ],
)
def test_a_gpu_may_be_asked_for_in_any_spelling_of_sbatch(option, has_gpu, tmp_path, monkeypatch):
    method = get_method("deepsynth")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.tif").touch()
    (tmp_path / "apptainer").write_text("#!/bin/sh\n")
    (tmp_path / "apptainer").chmod(0o755)
    (tmp_path / sif_name(method.image)).touch()
    monkeypatch.setenv("NUCSEG_SIF_DIR", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    job = Job("x", method, MethodFolder(tmp_path / "out"), tmp_path / "out", tmp_path / "in")
    script = text_of(job, Wishes(more=(option,)), 0)
    assert ("--nv" in script.split()) == has_gpu
    needs = Resources(gpu=True)
    assert Wishes(more=(option,)).filled(needs, "auto", 1).gres == ("" if has_gpu else "gpu:1")


def test_what_the_user_asks_sbatch_for_comes_last_and_so_wins():
    more = ("--no-requeue", "--output=/scratch/%A.log", "--time=20")
    lines = script_text(JOB, ["x"], [["a.tif"]], Wishes("10", more=more)).splitlines()
    options = [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH")]
    assert tuple(options[-3:]) == more
    assert options.index("--requeue") < len(options) - 3


@pytest.mark.parametrize("name", list_methods())
def test_every_method_says_its_needs(name):
    assert resources_of(get_method(name)) == load_method(name).resources


def test_without_the_repository_it_is_told_that_the_needs_are_not_known(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NUCSEG_ROOT", str(tmp_path))
    assert resources_of(JOB.method) == Resources()
    told = capsys.readouterr().err
    assert "not known what deepsynth needs" in told
    assert all(option in told for option in ("--mem", "--time", "--cpus", "--gres"))


def test_no_slurm_on_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NucsegError, match="Slurm is not on this machine") as caught:
        client.submit(tmp_path / "submit.sbatch")
    assert caught.value.exit_code == ENVIRONMENT
    assert "login node" in caught.value.hint
