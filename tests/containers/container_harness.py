"""Every container test runs an image as a stranger would: any uid, read-only root, no network, no HOME."""

import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile
from launcher_harness import Launcher

from nucseg import __version__
from nucseg_launcher.engines.apptainer import ISOLATION, NO_NETWORK

ROOT = Path(__file__).resolve().parents[2]
METHODS = sorted(path.parent.name for path in (ROOT / "images").glob("*/method.py"))
SHIPPED = sorted({path.parts[-4] for path in (ROOT / "images").glob("*/weights/*/model.json")})
"""Methods that come with weights."""


ONE = "stardist3d"
"""The method that stands for all where what is tested is the library's."""

QUICK = "deepsynth"
"""The method with the least to compute. Its image is the base and its folder; ONE's has packages of its own."""

CONVERTED = SHIPPED if os.environ.get("NUCSEG_TEST_EVERY_SIF") else [QUICK, ONE]
"""Methods that are tried under Apptainer, whose files take minutes to make: one of each kind of image.

NUCSEG_TEST_EVERY_SIF=1 tries all.
"""

STRANGER = "12345:12345"
DIAMETER = ("--nucleus_diameter", "10")
"""Of `nuclei`, in voxels: without it, every run would begin with measuring it."""

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups") if os.getuid() == 0 else ()
"""Apptainer takes no uid that has no name; this one's home is nowhere too."""


def engine(program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the client of an engine, docker or podman."""
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    assert not check or done.returncode == 0, f"{program} {' '.join(arguments)}: {done.stderr}"
    return done


def docker(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run Docker's client."""
    return engine("docker", *arguments, check=check)


@dataclass(frozen=True)
class Finished:
    """A container that ended."""

    code: int
    out: str
    err: str
    out_of_memory: bool

    def error_about(self, name: str) -> str:
        """The one message about an image that failed, cause and remedy: said at once, and again at the end."""
        lines = {line for line in self.out.splitlines() if line.startswith((f"error: {name}: ", f"error: {name} "))}
        assert len(lines) == 1, f"{len(lines)} errors about {name!r} in:\n{self.out}{self.err}"
        line = lines.pop()
        assert ". Try: " in line
        return line

    @property
    def fatal(self) -> str:
        """The one message that ended the run: cause, then remedy."""
        cause, remedy = self.err.splitlines()[-2:]
        assert cause.startswith("error: "), self.err
        assert remedy.startswith("  try: "), self.err
        assert "Traceback" not in self.err
        return f"{cause}\n{remedy}"


@dataclass
class Image:
    """One method's image in Docker or in Podman, which understand the same words."""

    method: str
    runtime: str = "docker"
    containers: list[str] = field(default_factory=list)

    @property
    def tag(self) -> str:
        return f"nucseg/{self.method}:v{__version__}"

    @property
    def config(self) -> dict:
        return json.loads(docker("image", "inspect", "--format", "{{json .Config}}", self.tag).stdout)

    def start(
        self, *words: object, mounts: Sequence[str] = (), options: Sequence[str] = (), entrypoint: str | None = None
    ) -> str:
        """Start a container in the background and return its name.

        `mounts` are ``host:container[:ro]``, `options` further words of ``docker run``.
        """
        name = f"nucseg-test-{uuid.uuid4().hex[:12]}"
        self.containers.append(name)
        command = ["run", "--detach", "--name", name, "--user", STRANGER, "--read-only", "--tmpfs", "/tmp"]
        command += ["--network", "none", "--cap-drop", "ALL", "--env", "HOME=/nonexistent", *options]
        command += [word for mount in mounts for word in ("--volume", mount)]
        command += ["--entrypoint", entrypoint] if entrypoint else []
        engine(self.runtime, *command, self.tag, *map(str, words))
        return name

    def wait(self, name: str) -> Finished:
        """Wait for the end of a container, take what it said and remove it."""
        engine(self.runtime, "wait", name)
        logs = engine(self.runtime, "logs", name)
        state = json.loads(engine(self.runtime, "inspect", "--format", "{{json .State}}", name).stdout)
        self.remove(name)
        return Finished(state["ExitCode"], logs.stdout, logs.stderr, state["OOMKilled"])

    def wait_for(self, name: str, text: str, seconds: float = 300) -> None:
        """Wait until a running container has said something."""
        end = time.monotonic() + seconds
        while text not in (logs := engine(self.runtime, "logs", name)).stdout:
            state = engine(self.runtime, "inspect", "--format", "{{.State.Status}}", name).stdout.strip()
            assert state == "running", f"{name} ended before it said {text!r}: {logs.stderr}"
            assert time.monotonic() < end, f"{name} did not say {text!r} within {seconds:.0f} s"
            time.sleep(0.1)

    def run(self, *words: object, **how: object) -> Finished:
        """Run a container to its end; the arguments are those of `start`."""
        return self.wait(self.start(*words, **how))  # type: ignore[arg-type]

    def python(self, code: str, *words: str, **how: object) -> str:
        """What a piece of python prints inside the image."""
        done = self.run("-c", code, *words, entrypoint="/opt/nucseg/bin/python", **how)
        assert done.code == 0, done.err
        return done.out

    def segment(self, data: Path, out: Path, *words: object, options: Sequence[str] = ()) -> Finished:
        """Segment the images of a folder, with the mounts that the README tells."""
        mounts = [f"{data}:/data:ro", f"{out}:/out"]
        return self.run("--in", "/data", "--out", "/out", *words, mounts=mounts, options=options)

    def remove(self, name: str) -> None:
        engine(self.runtime, "rm", "--force", "--volumes", name, check=False)
        self.containers.remove(name)


@dataclass
class SifImage(Image):
    """The same image as Apptainer runs it, for an ordinary user whose home does not exist."""

    runtime: str = "apptainer"
    sif: Path = Path()
    scratch: Path = Path()

    def run(
        self,
        *words: object,
        mounts: Sequence[str] = (),
        options: Sequence[str] = (),
        entrypoint: str | None = None,
    ) -> Finished:
        """Run a container to its end; `options` are further words of ``apptainer``."""
        command = [*ISOLATION, *NO_NETWORK, *options, "--workdir", str(self.scratch)]
        command += [word for mount in mounts for word in ("--bind", mount)]
        start = ["exec", *command, str(self.sif), entrypoint] if entrypoint else ["run", *command, str(self.sif)]
        done = as_nobody("apptainer", "--quiet", *start, *words)
        return Finished(done.returncode, done.stdout, done.stderr, out_of_memory=False)


def as_nobody(*words: object, folder: Path = Path("/")) -> subprocess.CompletedProcess[str]:
    """Run a program as an ordinary user, without a home and without our variables."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    command = [*NOBODY, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)


def make_sif(method: str) -> Path:
    """The SIF file of a method's image, made by `nucseg sif` where there is none of this very image yet."""
    image = Image(method)
    number = docker("image", "inspect", "--format", "{{.Id}}", image.tag).stdout.removeprefix("sha256:")[:12]
    cache = ROOT / "build" / "sif"
    sif = cache / f"{method}-{number}" / f"{method}_v{__version__}.sif"
    if not sif.is_file():
        for old in cache.glob(f"{method}-*"):
            shutil.rmtree(old)
        done = Launcher(ROOT)("sif", method, "--out", sif.parent)
        assert done.returncode == 0, done.stdout + done.stderr
    return sif


def open_folder(path: Path) -> Path:
    """Make a folder that any uid may reach and write to: the container runs as a stranger."""
    path.mkdir(parents=True)
    path.chmod(0o777)
    # pytest keeps its folders to their owner, and Apptainer mounts with the rights of its caller.
    for parent in path.parents:
        if parent.stat().st_uid == os.getuid() and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    return path


def nuclei(shape: tuple[int, int, int] = (24, 64, 64), spacing: int = 16) -> np.ndarray:
    """A volume (ZYX, uint16) of bright balls, 10 voxels across, on a grid over noise."""
    zyx = np.indices(shape)
    centres = np.stack([(axis // spacing) * spacing + spacing // 2 for axis in zyx])
    ball = np.clip(5.5 - np.sqrt(((zyx - centres) ** 2).sum(axis=0)), 0, 1)
    noise = np.random.default_rng(7).normal(0, 20, shape)
    return np.clip(200 + 2000 * ball + noise, 0, None).astype(np.uint16)


def write_ome(path: Path, data: np.ndarray, axes: str = "ZYX", voxel_size: Sequence[float] = (1.0, 1.0, 1.0)) -> Path:
    """Write an OME-TIFF with a voxel size (ZYX, µm)."""
    metadata = {"axes": axes}
    for axis, size in zip("ZYX", voxel_size, strict=True):
        metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm"}
    tifffile.imwrite(path, data, ome=True, photometric="minisblack", metadata=metadata)
    return path


def record(out: Path) -> dict[str, dict]:
    """The images of the run record by file name."""
    content = json.loads((out / "nucseg_run.json").read_text(encoding="utf-8"))
    return {entry["file"]: entry for entry in content["images"]}


def files(folder: Path) -> set[str]:
    """Names of everything in a folder, hidden files and what lies deeper too."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
