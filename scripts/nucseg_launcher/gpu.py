"""The NVIDIA GPUs of this machine, by the driver's own program."""

import shutil
import subprocess

SECONDS = 30
"""A driver that nobody uses starts slowly."""


def ask_nvidia_smi(query: str) -> list[str]:
    """The answer of ``nvidia-smi``, a line per GPU, values divided by commas; none without a working driver.

    Parameters
    ----------
    query : str
        Names of properties, as its ``--query-gpu`` takes them.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, f"--query-gpu={query}", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in told.stdout.splitlines() if line.strip()]


def host_gpus() -> list[str]:
    """One line per GPU: name, driver, memory."""
    return ask_nvidia_smi("name,driver_version,memory.total")


def used_gpu_memory() -> int | None:
    """Bytes in use on all GPUs together, whoever uses them; None where the driver tells nothing."""
    try:
        used = [int(line.split()[0]) for line in ask_nvidia_smi("memory.used")]
    except ValueError:
        # "[N/A]" of a GPU without memory of its own.
        return None
    return sum(used) * 1024**2 if used else None
