"""How images are built: what is handed over from the host, and what is refused."""

import configparser
import subprocess
import zipfile
from pathlib import Path

import pytest
import torch
from container_harness import ROOT, docker

import build_images

pytestmark = pytest.mark.needs("docker")


def test_the_host_s_pip_settings_without_its_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path / "ca.crt"
    bundle.write_text("certificates", encoding="utf-8")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "/srv/wheels https://mirror.example/wheels file:///srv/more")
    monkeypatch.setenv("PIP_CERT", str(bundle))

    arguments = build_images.write_secrets(tmp_path)

    assert arguments == ["--secret", f"id=ca,src={bundle}", "--secret", f"id=pip_conf,src={tmp_path / 'pip.conf'}"]
    written = configparser.ConfigParser()
    written.read(tmp_path / "pip.conf")
    assert written["global"]["index-url"] == "https://mirror.example/simple"
    assert written["global"]["find-links"] == "https://mirror.example/wheels"
    assert written["global"]["cert"] == "/run/secrets/ca.crt"


def test_images_that_are_here_keep_their_variant() -> None:
    images = [f"nucseg/{name}:test-variant" for name in ("cpu", "cuda", "other", "missing")]
    for image, label in zip(images, ("org.nucseg.variant=cpu", "org.nucseg.variant=cuda", "other=1"), strict=False):
        empty = subprocess.run(["tar", "-c", "-T", "/dev/null"], capture_output=True, check=True).stdout
        command = ["docker", "import", "--change", f"LABEL {label}", "-", image]
        subprocess.run(command, input=empty, capture_output=True, check=True)
    cpu, cuda, other, missing = images

    found = [build_images.kept_variant("docker", some) for some in ([missing, cpu], images, [other, missing])]
    docker("image", "rm", cpu, cuda, other)

    assert found == ["cpu", "cuda", None]


def test_without_a_cpu_build_of_torch_auto_is_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    # This environment's torch is from the same index.
    assert build_images.variant_here("docker") == ("cpu" if torch.version.cuda is None else "cuda")
    # A version of which there is no image of wheels, and a build as the public index has it.
    monkeypatch.setattr(build_images, "torch_pin", lambda variant: "torch==2.13.0+pretended")
    found = {"metadata": {"version": "2.13.0", "requires_dist": ["nvidia-cublas"]}}
    monkeypatch.setattr(build_images, "pip_report", lambda pin, folder: found)
    assert build_images.variant_here("docker") == "cuda"


def test_a_cpu_image_is_not_built_with_a_cuda_torch(tmp_path: Path) -> None:
    # A wheel that says what a CUDA build of the locked torch says.
    version = build_images.torch_pin("cpu").removeprefix("torch==") + "+pretended"
    wheel = tmp_path / "wheels" / f"torch-{version}-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("torch/__init__.py", "from torch import version\n")
        archive.writestr("torch/version.py", "cuda = '12.8'\n")
        info = f"torch-{version}.dist-info"
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    tag = "nucseg/wheels:test"
    tar = subprocess.run(["tar", "-C", str(wheel.parent), "-c", "."], capture_output=True, check=True)
    subprocess.run(["docker", "import", "-", tag], input=tar.stdout, capture_output=True, check=True)

    program = build_images.find_builder()
    command = [program, "build", "--file", str(ROOT / "images/base/Dockerfile"), "--target", "dependencies"]
    command += ["--build-arg", "VARIANT=cpu", "--build-arg", f"WHEELS_IMAGE={tag}"]
    command += ["--build-arg", f"BASE_IMAGE={build_images.base_image(program)}", *build_images.write_secrets(tmp_path)]
    done = subprocess.run([*command, str(ROOT)], env=build_images.build_environment(), capture_output=True, text=True)
    docker("image", "rm", tag)

    assert done.returncode != 0
    assert "VARIANT=cpu, but pip found a cuda build of torch. Remedy: point pip at" in done.stdout + done.stderr
