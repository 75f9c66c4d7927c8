"""What this process may use of the machine: cores and memory, by the kernel's limits on the process."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

UNLIMITED = 1 << 60
"""Version 1 control groups write a number near 2**63 for "no limit"."""


def usable_cores(root: Path = Path("/")) -> int:
    """Cores that the process may keep busy: its affinity, cut by the control groups' processor quota.

    Parameters
    ----------
    root : pathlib.Path
        Where ``proc`` and ``sys`` lie.

    Returns
    -------
    int
        At least 1. A quota of 2.5 cores gives 2.
    """
    cores = float(len(os.sched_getaffinity(0)))
    for folder in _groups(root, "cpu"):
        quota, period = _quota(folder)
        if quota > 0 and period > 0:
            cores = min(cores, quota / period)
    return max(1, int(cores))


def available_memory(root: Path = Path("/")) -> int:
    """Bytes of main memory that the process can still take before the kernel ends it.

    The smallest of what the machine has free, of what each control group above the process leaves,
    and of what Slurm gave the job, whose control group is out of sight in an Apptainer container.
    Cached file contents count as free, because the kernel drops them first.

    Parameters
    ----------
    root : pathlib.Path
        Where ``proc`` and ``sys`` lie.
    """
    free = _fields(root / "proc/meminfo").get("MemAvailable:", UNLIMITED // 1024) * 1024
    for folder in _groups(root, "memory"):
        for limit_name, usage_name, cache_name in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit = _number(folder / limit_name)
            if limit is not None and limit < UNLIMITED:
                cache = _fields(folder / "memory.stat").get(cache_name, 0)
                free = min(free, limit - (_number(folder / usage_name) or 0) + cache)
    if job := _memory_of_slurm_job():
        resident = int((root / "proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        free = min(free, job - resident)
    return max(0, free)


def _memory_of_slurm_job() -> int:
    """Bytes that a Slurm job may take on this machine, by its variables (in MiB); 0 without job or limit."""
    per_node, per_core, cores = (
        int(os.environ.get(f"SLURM_{name}") or 0) for name in ("MEM_PER_NODE", "MEM_PER_CPU", "CPUS_ON_NODE")
    )
    return (per_node or per_core * cores) << 20


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups that hold the process, the innermost first.

    In a container the path that /proc tells is often the host's and does not exist inside; then the
    mount's root is the container's own group.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            tops = [root / "sys/fs/cgroup", root / "sys/fs/cgroup/unified"]
        elif controller in controllers.split(","):
            tops = [root / "sys/fs/cgroup" / controllers, root / "sys/fs/cgroup" / controller]
        else:
            continue
        for top in tops:
            folder = top / path.strip("/")
            while folder != top.parent:
                if folder.is_dir():
                    yield folder
                folder = folder.parent


def _quota(folder: Path) -> tuple[float, float]:
    """Microseconds of processor per period, or (-1, 0) without a limit."""
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return (-1.0, 0.0) if quota == "max" else (float(quota), float(period))
    except (OSError, ValueError):
        return float(_number(folder / "cpu.cfs_quota_us") or -1), float(_number(folder / "cpu.cfs_period_us") or 0)


def _number(path: Path) -> int | None:
    """The whole number in a file; None without one ("max", or no such file)."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _fields(path: Path) -> dict[str, int]:
    """First word of each line to its second, a whole number."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    return {words[0]: int(words[1]) for words in map(str.split, lines) if len(words) > 1}


def keep_memory() -> None:
    """Let the C library keep freed memory for the next step instead of giving it back.

    A training step takes and frees the same gigabytes again and again; handing them back to the
    kernel, which clears every page before it is used again, took a third of the time.
    Does nothing where the C library has no such setting.
    """
    import ctypes

    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        trim_threshold, top_pad, mmap_max = -1, -2, -4
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(top_pad, 2**28)
