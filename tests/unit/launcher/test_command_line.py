"""Commands that run nothing: help, lists, checks before a run, the dry run."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from launcher_harness import REPOSITORY

from nucseg import __version__
from nucseg.errors import NucsegError
from nucseg.params import flag
from nucseg_launcher.catalogue import get_method, list_methods
from nucseg_launcher.checks.engine import no_docker
from nucseg_launcher.checks.machine import check_disk
from nucseg_launcher.engines import choose_engine
from nucseg_launcher.engines.sif import sif_name
from nucseg_launcher.main import build_parser
from nucseg_launcher.settings import parse_memory, training_parameters


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@pytest.mark.parametrize("word", ["--help", "--version", "list"])
def test_starts_at_once(nucseg, word):
    # CPU time, so that a busy machine doesn't fail the test; on a quiet one it is the time that passes.
    seconds = []
    for _ in range(3):
        before = cpu_seconds()
        assert nucseg(word).returncode == 0
        seconds.append(cpu_seconds() - before)
    assert min(seconds) < 0.3


def test_nothing_heavy_is_imported_before_it_is_needed(nucseg):
    code = """
import sys
from nucseg_launcher.main import main
main(["list"])
print({"numpy", "torch", "matplotlib", "docker", "requests", "rich", "tifffile", "zarr"} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=nucseg.environment()
    )
    assert done.stdout.splitlines()[-1] == "set()"


def test_version_is_the_library_s(nucseg):
    assert nucseg("--version").stdout.strip() == f"nucseg {__version__}"


def test_without_a_command_the_usage_is_shown(nucseg):
    done = nucseg()
    assert done.returncode == 2
    assert "usage: nucseg" in done.stderr


def test_options_are_not_abbreviated(nucseg, two_images, tmp_path):
    done = nucseg("run", "threshold", two_images, tmp_path, "--dry")
    assert done.returncode == 2
    assert "unrecognized arguments: --dry" in done.stderr


def test_list_names_the_folders_of_images_that_have_a_descriptor(tmp_path, root, nucseg):
    (tmp_path / "images" / "base").mkdir(parents=True)
    (tmp_path / "images" / "threshold").mkdir()
    shutil.copytree(root / "descriptors", tmp_path / "descriptors")
    shutil.copy(root / "descriptors" / "threshold.json", tmp_path / "descriptors" / "gone.json")

    listed = type(nucseg)(tmp_path)("list").stdout

    assert listed.startswith("threshold  Blur, Otsu's threshold and connected components")
    assert "base" not in listed
    assert "gone" not in listed


def test_info_tells_default_range_and_choices_of_every_parameter(nucseg):
    text = nucseg("info", "threshold").stdout
    assert "sigma=0.0   Sigma (0.0 to 10.0)" in text
    assert "connectivity=face   Connectivity (one of face, corner)" in text
    assert "use_gpu=true   Use a GPU (true or false)" in text
    assert "cytomine" not in text
    training = text[text.index("For training (nucseg train)") :]
    assert "largest=4.0   Largest sigma (at least 1.0)" in training
    assert "sigma=0.0" not in training


def test_weights_that_the_user_brings_are_told_of_where_methods_are_listed(nucseg):
    real = type(nucseg)(REPOSITORY)
    assert real("list").stdout.count("(weights: yours)") == 1
    described = real("info", "cellpose_sam").stdout
    assert "nucseg run cellpose_sam my_images my_results --model " in described
    assert "For training" not in described


def test_a_module_in_the_current_folder_is_not_taken_for_one_of_ours(tmp_path, nucseg, two_images):
    out = tmp_path / "out"
    dry = nucseg("run", "threshold", two_images, out, "--engine", "process", "--device", "cpu", "--dry-run")
    (tmp_path / "tifffile.py").write_text("raise SystemExit('a stranger')")
    script = ["bash", "-e", "-c", dry.stdout]
    done = subprocess.run(script, cwd=tmp_path, env=nucseg.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (out / "methods" / "threshold" / "labels" / "a.tif").exists()


def test_the_dry_run_prints_a_script_that_does_the_same_and_makes_nothing(tmp_path, nucseg, two_images, finished):
    out = tmp_path / "it's here"
    words = [
        "run",
        "threshold",
        two_images,
        out,
        "--engine",
        "process",
        "--device",
        "cpu",
        "--set",
        "sigma=0.5",
        "--dry-run",
    ]

    dry = nucseg(*words)

    assert dry.returncode == 0
    assert not out.exists()
    subprocess.run(["bash", "-e", "-c", dry.stdout], check=True, capture_output=True, env=nucseg.environment())
    for path in two_images.iterdir():
        written = out / "methods" / "threshold" / "labels" / path.name
        assert written.read_bytes() == (finished.folder / "labels" / path.name).read_bytes()


@pytest.mark.parametrize("command", ["run", "compare"])
@pytest.mark.parametrize("place", [1, 4])
@pytest.mark.parametrize("words", [["--set", "nuc_channel=-1"], ["--nuc_channel", "-1"], ["--nuc_channel=-1"]])
def test_parameters_are_taken_as_the_methods_spell_them(tmp_path, nucseg, two_images, command, place, words):
    line = [command, "threshold", two_images, tmp_path / "out", "--engine", "process", "--dry-run"]
    done = nucseg(*line[:place], *words, *line[place:])
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("--nuc_channel=-1")


def test_no_parameter_is_taken_for_a_misspelt_option():
    for method in list_methods():
        for command in ("run", "compare", "submit", "train"):
            known = training_parameters(method) if command == "train" else method.parameters
            for name in (flag(parameter)[2:] for parameter in known):
                args = build_parser().parse_args([command, method.name, "in", "out", f"--{name}=1"])
                own = getattr(args, name, getattr(args, f"short_{name}", None))
                assert args.settings == ([] if own else [f"{name}=1"]), (command, method.name, name)


@pytest.mark.parametrize("model", ["--model=", "--set=model=", "--set=model=None"])
def test_an_empty_model_is_the_default_one(tmp_path, nucseg, two_images, model):
    done = nucseg("run", "threshold", two_images, tmp_path / "out", "--engine", "process", model, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "--model" not in done.stdout


@pytest.mark.parametrize("optimize", ["", "1"])
def test_without_an_engine_the_process_engine_is_taken_with_one_line(tmp_path, nucseg, two_images, optimize):
    # Optimised, Python leaves assertions out.
    done = type(nucseg)(nucseg.root, {"PYTHONOPTIMIZE": optimize})(
        "run", "threshold", two_images, tmp_path / "out", "--dry-run"
    )
    assert done.returncode == 0
    first, *script = done.stdout.splitlines()
    assert "plain process" in first
    assert "Docker does not answer" in first
    assert "nucseg.app" in script[-1]


def test_without_docker_an_engine_that_has_the_images_is_taken(tmp_path, monkeypatch, root):
    monkeypatch.setenv("NUCSEG_ROOT", str(root))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    monkeypatch.setenv("NUCSEG_SIF_DIR", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    methods = [get_method("threshold")]

    def taken(name=None):
        engine, note = choose_engine(name, methods)
        assert name or f"--engine {engine.name}" in note
        return engine.name

    assert taken() == "process"
    for program in ("podman", "apptainer"):
        (tmp_path / program).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / program).chmod(0o755)
    assert taken() == "process"
    (tmp_path / sif_name(methods[0].image)).touch()
    assert taken() == "apptainer"
    (tmp_path / "podman").write_text(f'#!/bin/sh\ntest "$*" = "image exists {methods[0].image}"\n')
    assert taken() == "podman"
    assert taken("process") == "process"
    found = no_docker(NucsegError("Docker does not answer", "start Docker"), methods)
    assert found.severity == "warning"
    assert found.message == "Docker does not answer; nucseg run takes Podman for all methods"


def test_the_doctor_knows_no_room_where_there_is_no_folder(tmp_path):
    assert check_disk(tmp_path).severity != "error"
    found = check_disk(tmp_path / "absent")
    assert found.severity == "error"
    assert f"no folder {tmp_path / 'absent'}" in found.message


def test_build_hands_over_to_the_repository_s_program_and_passes_its_exit_code_on(tmp_path, root, nucseg):
    shutil.copytree(root, tmp_path / "root")
    (tmp_path / "root" / "scripts").mkdir()
    program = "import sys; print('building', *sys.argv[1:], flush=True); sys.exit(3)"
    (tmp_path / "root" / "scripts" / "build_images.py").write_text(program)
    done = type(nucseg)(tmp_path / "root")("build", "--variant", "cpu", "threshold")
    assert done.stdout == "building --variant cpu threshold\n"
    assert done.returncode == 3


def test_doctor_gives_a_remedy_for_every_finding_that_is_not_ok(nucseg):
    done = type(nucseg)(nucseg.root, {"PATH": "/nonexistent"})("doctor")
    assert done.returncode == 3
    lines = done.stdout.splitlines()
    bad = [index for index, line in enumerate(lines) if line.startswith(("warning", "error"))]
    without = "Docker does not answer; nucseg run takes a plain process (--engine process) for all methods"
    assert any(without in lines[index] for index in bad)
    assert all(lines[index + 1].lstrip().startswith("-> ") for index in bad)
    topics = {"python", "processor", "memory", "disk", "user", "GPU", "podman", "apptainer"}
    assert topics <= {line[8:20].strip() for line in lines}


@pytest.mark.parametrize(
    ("text", "expected"), [("512m", 512 * 2**20), ("1.5g", 3 * 2**29), ("2 GiB", 2**31), ("8GB", 2**33)]
)
def test_memory_is_understood_as_docker_does(text, expected):
    assert parse_memory(text) == expected


@pytest.mark.parametrize("text", ["", "-1g", "5x", "1k", "nan", "inf"])
def test_what_is_no_memory_is_refused(text):
    with pytest.raises(NucsegError, match="not an amount"):
        parse_memory(text)


def test_installed_without_the_repository_the_descriptors_are_found(tmp_path):
    for name in ("common", "scripts", "descriptors"):
        ignored = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
        shutil.copytree(REPOSITORY / name, tmp_path / "source" / name, ignore=ignored)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    # The build tools and the dependencies are those of the environment that runs the tests.
    packages = next((tmp_path / "venv" / "lib").glob("python*")) / "site-packages"
    (packages / "tests.pth").write_text(str(Path(pytest.__file__).parents[1]))
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "NUCSEG_ROOT")}
    sources = [tmp_path / "source" / name for name in ("common", "scripts")]
    install = [python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", *sources]
    subprocess.run(install, check=True, env=environment, capture_output=True)
    shutil.rmtree(tmp_path / "source")

    program = tmp_path / "venv" / "bin" / "nucseg"
    listed = subprocess.run([program, "list"], env=environment, capture_output=True, text=True)
    built = subprocess.run([program, "build", "stardist3d"], env=environment, capture_output=True, text=True)

    assert "stardist3d" in listed.stdout
    assert built.returncode == 3
    assert "needs the nucseg repository" in built.stderr
