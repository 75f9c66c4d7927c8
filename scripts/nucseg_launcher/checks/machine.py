"""Checks of the machine itself: Python, processor, memory, disk, user."""

import os
import platform
import shutil
import sys
from pathlib import Path

from nucseg_launcher.checks import Finding
from nucseg_launcher.units import count_text, size_text

GB = 1024**3
COMFORTABLE_MEMORY = 8 * GB
COMFORTABLE_DISK = 10 * GB
LEAST_DISK = GB


def check_python() -> Finding:
    """The Python that runs the launcher."""
    return Finding("ok", "python", f"Python {platform.python_version()} at {sys.executable}")


def check_cores() -> Finding:
    """How many processor cores this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Finding("ok", "processor", count_text(cores, "core"))


def check_memory() -> Finding:
    """Memory of the machine."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    message = size_text(total)
    if total < COMFORTABLE_MEMORY:
        return Finding("warning", "memory", f"{message}, little for 3D volumes", "segment small volumes, or crop them")
    return Finding("ok", "memory", message)


def check_disk(folder: Path) -> Finding:
    """Free space where results will go."""
    place = folder.expanduser().absolute()
    if not place.is_dir():
        return Finding("error", "disk", f"there is no folder {place}", "make it, or name another one")
    return disk_finding("disk", place)


def disk_finding(topic: str, place: Path) -> Finding:
    """Free space on the disk of an existing folder."""
    free = shutil.disk_usage(place).free
    message = f"{size_text(free)} free at {place}"
    if free < LEAST_DISK:
        return Finding("error", topic, message, "free some space")
    if free < COMFORTABLE_DISK:
        return Finding("warning", topic, message, "images and results can be large: free some space")
    return Finding("ok", topic, message)


def check_user() -> Finding:
    """Who runs this: what a container writes will belong to them."""
    if os.getuid() == 0:
        return Finding(
            "warning",
            "user",
            "you are root: results will belong to root",
            "run nucseg as an ordinary user of the engine",
        )
    return Finding("ok", "user", f"user {os.getuid()}, group {os.getgid()}: results will belong to you")
