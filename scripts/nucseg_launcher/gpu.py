"""How much memory the GPUs of this machine have in use, by the driver's own program."""

import shutil
import subprocess


def used_gpu_memory() -> int | None:
    """Bytes in use on all GPUs together, whoever uses them; None where ``nvidia-smi`` tells nothing."""
    program = shutil.which("nvidia-smi")
    if not program:
        return None
    try:
        told = subprocess.run(
            [program, "--query-gpu=memory.used", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
        return sum(int(line) for line in told.stdout.split()) * 1024**2
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
