"""What is decided about a container, without an engine."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from nucseg_launcher.catalogue import MethodEntry
from nucseg_launcher.checks.links import outside_links
from nucseg_launcher.checks.preflight import disk_space
from nucseg_launcher.engines import apptainer, docker_client, podman
from nucseg_launcher.engines.base import Job
from nucseg_launcher.engines.docker import read_stats
from nucseg_launcher.engines.docker_client import can_give_gpu, container_user, has_nvidia_runtime
from nucseg_launcher.engines.runspec import Mount, RunSpec, caller, command_words, make_spec, sdk_options
from nucseg_launcher.engines.sif import sif_folder
from nucseg_launcher.layout import MethodFolder


def spec(**changes: object) -> RunSpec:
    values: dict = {
        "name": "nucseg-x-1",
        "image": "nucseg/x:v1",
        "arguments": ("--in", "/data", "--sigma=-1"),
        "mounts": (Mount(Path("/my, folder: µ"), "/data"), Mount(Path("/out"), "/out", read_only=False)),
        "user": "1000:1000",
        "labels": (("org.nucseg.run", "1"),),
    }
    return RunSpec(**values | changes)


def options_of(words: list[str], name: str) -> list[str]:
    return [words[index + 1] for index, word in enumerate(words) if word == name]


def test_a_container_gets_no_more_than_it_needs():
    words = command_words(spec())
    assert {"--init", "--read-only", "--rm"} <= set(words)
    assert options_of(words, "--network") == ["none"]
    assert options_of(words, "--cap-drop") == ["ALL"]
    assert options_of(words, "--security-opt") == ["no-new-privileges"]
    assert options_of(words, "--user") == ["1000:1000"]
    assert not {"--gpus", "--memory", "--privileged", "-v"} & set(words)
    assert words[-4:] == ["nucseg/x:v1", "--in", "/data", "--sigma=-1"]


def test_a_path_with_comma_colon_and_blank_stays_one_mount_in_both_forms():
    data, out = (next(csv.reader([word])) for word in options_of(command_words(spec()), "--mount"))
    assert data == ["type=bind", "source=/my, folder: µ", "target=/data", "readonly"]
    assert out == ["type=bind", "source=/out", "target=/out"]
    mounts = sdk_options(spec())["mounts"]
    assert [(m["Source"], m["Target"], m["ReadOnly"]) for m in mounts] == [
        ("/my, folder: µ", "/data", True),
        ("/out", "/out", False),
    ]


def test_memory_and_gpu_are_in_both_forms_when_they_are_asked_for():
    asked = spec(memory=2**30, gpus=True)
    words, options = command_words(asked), sdk_options(asked)
    assert options_of(words, "--memory") == [str(options["mem_limit"])] == [str(2**30)]
    assert options_of(words, "--gpus") == ["all"]
    assert options["device_requests"][0]["Count"] == -1
    assert not {"mem_limit", "device_requests"} & set(sdk_options(spec()))


def test_under_apptainer_a_container_gets_no_more_either():
    words = apptainer.command_words(spec(image="/sif/x.sif"), "apptainer", "/scratch")
    assert words[:2] == ["apptainer", "run"]
    assert {"--containall", "--no-home", "--no-eval", "--no-privs"} <= set(words)
    assert options_of(words, "--network") == ["none"]
    # Its /tmp is ours, and not the 64 MB that Apptainer gives.
    assert options_of(words, "--workdir") == ["/scratch"]
    assert options_of(words, "--mount") == options_of(command_words(spec()), "--mount")
    assert not {"--nv", "--memory", "--env", "--writable-tmpfs"} & set(words)
    assert words[-4:] == ["/sif/x.sif", "--in", "/data", "--sigma=-1"]


def test_under_apptainer_memory_gpu_and_the_job_s_share_are_handed_in():
    asked = spec(memory=2**30, gpus=True)
    words = apptainer.command_words(asked, "singularity", "/scratch", (), {"CUDA_VISIBLE_DEVICES": "1"})
    assert words[0] == "singularity"
    assert "--net" not in words
    assert "--nv" in words
    assert options_of(words, "--memory") == [str(2**30)]
    assert options_of(words, "--env") == ["CUDA_VISIBLE_DEVICES=1"]


def test_podman_gets_docker_s_words_and_what_it_needs_besides():
    words, docker = podman.command_words(spec(gpus=True), rootless=True), command_words(spec())
    # Podman does without a program of its own as first process: ours listens to signals.
    assert set(docker) - set(words) == {"docker", "--init"}
    assert options_of(words, "--userns") == ["keep-id"]
    assert options_of(words, "--device") == ["nvidia.com/gpu=all"]
    assert options_of(words, "--pull") == ["never"]
    assert not {"--userns", "--device"} & set(podman.command_words(spec(), rootless=False))
    assert words[-4:] == docker[-4:]


def test_groups_by_which_files_are_the_caller_s_are_handed_in(tmp_path, monkeypatch):
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    out.mkdir()
    monkeypatch.setattr("os.getgid", lambda: 70000)
    monkeypatch.setattr("os.getgroups", lambda: [70000, data.stat().st_gid, 70001])
    method = MethodEntry("x", {"container-image": {"image": "nucseg/x"}}, None)
    job = Job("1", method, MethodFolder(out), out, data)
    shared = make_spec(job, image="nucseg/x", user=caller(), gpus=False)
    group = str(data.stat().st_gid)
    assert options_of(command_words(shared), "--group-add") == sdk_options(shared)["group_add"] == [group]
    assert options_of(podman.command_words(shared, rootless=False), "--group-add") == [group]
    assert options_of(podman.command_words(shared, rootless=True), "--group-add") == ["keep-groups"]
    # Inside a rootless Docker, and for Apptainer, numbers of groups mean nothing.
    assert not make_spec(job, image="nucseg/x", user="0:0", gpus=False).groups
    assert "--group-add" not in command_words(spec())


def test_links_that_lead_out_of_a_mounted_folder_are_told(tmp_path):
    data, other = tmp_path / "data", tmp_path / "other"
    data.mkdir()
    other.mkdir()
    for folder in (data, other):
        (folder / "a.tif").touch()
    method = MethodEntry("x", {"container-image": {"image": "nucseg/x"}}, None)
    job = Job("1", method, MethodFolder(tmp_path / "out"), tmp_path / "out", data)
    (data / "b.tif").symlink_to("a.tif")
    # No image, so it is not read.
    (data / "notes").symlink_to(other)
    assert not list(outside_links(job))
    (data / "c.tif").symlink_to(data / "a.tif")
    (data / "d.tif").symlink_to("../other/a.tif")
    (finding,) = outside_links(job)
    assert finding.severity == "error"
    assert finding.message.endswith("sees nothing: c.tif, d.tif")
    (finding,) = outside_links(replace(job, in_dir=other, model=data))
    assert "notes" in finding.message


def test_sif_files_lie_in_the_user_s_data_folder_or_where_the_site_says(monkeypatch, tmp_path):
    monkeypatch.delenv("NUCSEG_SIF_DIR", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert sif_folder() == tmp_path / "nucseg" / "sif"
    monkeypatch.setenv("NUCSEG_SIF_DIR", str(tmp_path / "shared"))
    assert sif_folder() == tmp_path / "shared"


def test_a_gpu_runtime_is_seen_in_what_the_engine_says():
    assert has_nvidia_runtime({"Runtimes": {"runc": {}, "nvidia": {}}})
    assert has_nvidia_runtime(
        {"Runtimes": {"runc": {}}, "DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}]}
    )
    assert not has_nvidia_runtime({"Runtimes": {"runc": {}}, "DiscoveredDevices": None})


@pytest.mark.parametrize(
    ("url", "gpus", "can"),
    [
        ("http+docker://localhost", ["H100"], True),
        ("http+docker://localhost", [], False),
        ("http://elsewhere:2375", [], True),
    ],
)
def test_a_runtime_without_a_gpu_gives_none(monkeypatch, url, gpus, can):
    monkeypatch.setattr(docker_client, "host_gpus", lambda: gpus)
    client = SimpleNamespace(api=SimpleNamespace(base_url=url))
    assert can_give_gpu(client, {"Runtimes": {"nvidia": {}}}) is can
    assert not can_give_gpu(client, {"Runtimes": {}})


def test_in_a_rootless_engine_root_is_the_caller():
    assert container_user({"SecurityOptions": ["name=seccomp,profile=default", "name=rootless"]}) == "0:0"
    assert container_user({"SecurityOptions": None}) == caller()


def test_memory_of_a_sample_leaves_the_page_cache_out():
    stats = {
        "memory_stats": {"usage": 500, "stats": {"inactive_file": 100}},
        "cpu_stats": {"cpu_usage": {"total_usage": 3_000}, "system_cpu_usage": 20_000, "online_cpus": 2},
        "precpu_stats": {"cpu_usage": {"total_usage": 1_000}, "system_cpu_usage": 10_000},
    }
    sample = read_stats(stats, 1.5)
    assert sample is not None
    assert (sample.seconds, sample.memory, sample.cpu) == (1.5, 400, pytest.approx(40.0))
    assert read_stats({"memory_stats": {}, "cpu_stats": {}}, 1.0) is None


def test_too_little_disk_space_is_found_before_the_run(tmp_path):
    image = tmp_path / "big.tif"
    image.touch()
    assert disk_space([image], tmp_path / "not" / "there").severity == "ok"
    # A sparse file takes no space itself; not every file system has such.
    try:
        with image.open("r+b") as file:
            file.truncate(2 * shutil.disk_usage(tmp_path).total)
    except OSError:
        pytest.skip("no sparse files here")
    finding = disk_space([image], tmp_path)
    assert finding.severity in ("warning", "error")
    assert finding.remedy
