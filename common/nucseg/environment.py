"""The machine around the entrypoint: writable caches, package versions, memory."""

import atexit
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from nucseg.method import root_folder
from nucseg.progress import say

COMPILED = "compiled"
"""Below the root folder: what numba has compiled while the image was built."""

CACHES = ("NUMBA_CACHE_DIR", "MPLCONFIGDIR", "XDG_CACHE_HOME")
_UNKNOWN_USER = 65534
"""As whom a user namespace shows everybody whom it does not know, so that `nobody` can't tell itself from others."""

PACKAGES = (
    *("numpy", "scipy", "scikit-image", "tifffile", "connected-components-3d", "edt", "fastremap"),
    *("torch", "openvino", "stardist", "cellpose"),
)


def prepare_caches() -> None:
    """Give libraries a home and caches they can write to, before they are imported.

    In a container the user often has no passwd entry, no home, and a read-only root. What is
    writable is left as it is; the rest is pointed to a folder that goes when the process ends.
    What the image brings compiled is put into numba's cache, which has to be writable.
    """
    _find_places()
    if "NUMBA_CACHE_DIR" in os.environ:
        _copy_once(root_folder() / COMPILED, Path(os.environ["NUMBA_CACHE_DIR"]))


def wait_passively() -> None:
    """Have OpenMP's threads sleep while they wait, before a library loads OpenMP.

    Spinning, its default, gains nothing measurable on a quiet machine, and beside other programs StarDist's
    many short loops take several times as long.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _find_places() -> None:
    home = os.environ.get("HOME")
    home_works = home is not None and _writable(home)
    unfit = [name for name in CACHES if not (_is_ours(os.environ[name]) if name in os.environ else home_works)]
    if home_works and not unfit:
        return
    try:
        folder = tempfile.mkdtemp(prefix="nucseg-")
    except OSError:
        # No temp folder either: whatever needs a cache will say so itself.
        return
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ.update(dict.fromkeys(unfit, folder))
    if not home_works:
        os.environ["HOME"] = folder
    os.environ.setdefault("USER", "nucseg")


def _copy_once(source: Path, target: Path) -> None:
    """Copy a folder, whole or not at all, unless something is in the target; without room for it nothing is."""
    if not source.is_dir() or (target.is_dir() and any(target.iterdir())):
        return
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        shutil.copytree(source, part)
        part.rename(target)
    except OSError:  # a full disk, or another process was first
        shutil.rmtree(part, ignore_errors=True)


def _writable(folder: str) -> bool:
    """Whether files can be made in the folder, or in the one it would be made in."""
    path = Path(folder).absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK)


def _is_ours(folder: str) -> bool:
    """Whether a cache is writable and nobody else's: libraries run what they find in theirs.

    Under Apptainer, /tmp can be the machine's own, where another user was first.
    """
    path = Path(folder)
    return _writable(folder) and (not path.exists() or path.stat().st_uid == os.getuid() != _UNKNOWN_USER)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide about results, as far as they are installed."""
    import importlib.metadata

    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def reset_peak_memory() -> None:
    """Begin a new measurement for `peak_memory_mib`; without permission, peaks are those since the start."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory_mib() -> int:
    """Highest resident memory of this process since `reset_peak_memory`, in MiB."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) // 1024
    except (OSError, IndexError):
        import resource

        unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit


def pick_device(wanted: str, params: Any) -> str:
    """``cpu`` or ``cuda``: --device decides, and the parameter `use_gpu` where that leaves it open.

    Raises
    ------
    NucsegError
        `ENVIRONMENT` when a GPU was demanded and none can be used.
    """
    from nucseg.runtime import choose_device

    if wanted == "auto" and not getattr(params, "use_gpu", True):
        wanted = "cpu"
    device = choose_device(wanted)
    fallback = " (no GPU can be used here)" if wanted == "auto" and device == "cpu" else ""
    say(f"device: {device}{fallback}")
    return device
