"""Where a network runs, in which precision and layout, and in how large tiles: one place for all methods."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nucseg import machine
from nucseg.errors import ENVIRONMENT, USAGE, NucsegError

if TYPE_CHECKING:
    import numpy as np
    import torch

    from nucseg.volume import Shape

MEMORY_SHARE = 0.4
"""Part of the free memory that one tile may take; the rest is for the volume, its labels and the candidates."""

TILE_MEMORY = 2_500_000_000
"""Most bytes for one tile: larger ones save little halo."""


class Network(Protocol):
    """A network ready to run.

    Attributes
    ----------
    bytes_per_voxel : float
        Memory that it takes at its peak, per voxel of the input.
    """

    bytes_per_voxel: float

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """Map a float32 array (N, C, Z, Y, X) to the network's outputs, float32 (N, c, z, y, x).

        The outputs belong to the caller. The same input gives the same bytes.
        """
        ...


def choose_device(want: str) -> str:
    """The device to run on.

    Parameters
    ----------
    want : str
        "auto" (the GPU if one works, else the CPU), "cpu" or "cuda".

    Returns
    -------
    str
        "cpu" or "cuda".

    Raises
    ------
    NucsegError
        `ENVIRONMENT` when "cuda" is asked for and can't be had; `USAGE` for another word.
    """
    if want not in ("auto", "cpu", "cuda"):
        raise NucsegError(f"there is no device {want!r}", "use auto, cpu or cuda", USAGE)
    if want == "cpu":
        return "cpu"
    obstacle = _cuda_obstacle()
    if obstacle is None:
        return "cuda"
    if want == "auto":
        return "cpu"
    cause, hint = obstacle
    raise NucsegError(f"a GPU was asked for, but {cause}", f"{hint}; or run on the CPU with --device cpu", ENVIRONMENT)


def _cuda_obstacle() -> tuple[str, str] | None:
    """Why CUDA can't be used, as cause and remedy; None when it can."""
    import warnings

    import torch

    if torch.version.cuda is None:
        return (
            "this is the CPU build of torch",
            "take the image's CUDA variant, or outside of containers a torch for CUDA",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if torch.cuda.device_count() > 0:
                torch.zeros(1, device="cuda")
                return None
            torch.cuda.init()
        except (RuntimeError, AssertionError) as error:
            return _cuda_cause(str(error))
    return _cuda_cause("")


def _cuda_cause(message: str) -> tuple[str, str]:
    """Cause and remedy for what torch says about a GPU that does not work."""
    import torch

    if "too old" in message or "driver version is insufficient" in message:
        return f"its driver is too old for CUDA {torch.version.cuda}", "update the NVIDIA driver of the host"
    if "no kernel image" in message:
        return "this build of torch has no code for its model", "use a GPU of compute capability 7.5 or newer"
    if "out of memory" in message or "busy or unavailable" in message:
        return "it is taken by another program", "wait until it is free (nvidia-smi lists who uses it)"
    detail = f" ({message.splitlines()[0]})" if message else ""
    return (
        f"no GPU is visible{detail}",
        "start the container with --gpus all, and see that nvidia-smi works on the host",
    )


def compile_network(module: torch.nn.Module, device: str, *, exact: bool) -> Network:
    """Make a trained network ready to run fast.

    Torch with channels last on a GPU, OpenVINO on a CPU: there it takes less than half of torch's time in
    float32, and its sums are those of TensorFlow's oneDNN to the last bits.

    Parameters
    ----------
    module : torch.nn.Module
        Maps (N, C, Z, Y, X) or (N, C, Y, X) to a tuple of tensors of that layout. Its attribute
        `divisor` says what the axes must be multiples of. It is put in evaluation mode, and may be
        changed.
    device : str
        "cpu" or "cuda".
    exact : bool
        Compute in float32 throughout. Otherwise in 16 bits where the device gains by it.

    Returns
    -------
    Network
    """
    module = module.eval().requires_grad_(False)
    if device == "cuda":
        return _TorchNetwork(module, device, exact)
    bfloat16 = not exact and gains_by_16_bits(device)
    try:
        return _OpenVinoNetwork(module, bfloat16)
    except ImportError:
        return _TorchNetwork(module, device, not bfloat16)


def check_numbers(outputs: np.ndarray) -> None:
    """Raise `NucsegError` where a network gave a NaN or infinity."""
    import numpy as np

    if not np.isfinite(outputs).all():
        raise NucsegError(
            "the network gave values that are not finite numbers (NaN)",
            "check the image for NaN and extreme values, or run with --exact true; if it stays, the model is damaged",
        )


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probabilities."""
    import numpy as np

    with np.errstate(over="ignore"):
        probabilities: np.ndarray = 1 / (1 + np.exp(-logits))
    return probabilities


class _TorchNetwork:
    """Torch, channels last: without it, torch sends small 3D convolutions to a kernel 10 times slower."""

    def __init__(self, module: torch.nn.Module, device: str, exact: bool) -> None:
        import torch

        if device == "cpu":
            torch.set_num_threads(machine.usable_cores())
            self.precision = torch.bfloat16
        else:
            # Float16 keeps three more bits than bfloat16, and normalised intensities fit its range.
            self.precision = torch.float16
            torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.allow_tf32 = False
            # The search for the fastest kernel may end differently from run to run.
            torch.backends.cudnn.benchmark = False
            torch.backends.cudnn.deterministic = True
        self.bytes_per_voxel = _activation_bytes(module)
        self.layout = torch.channels_last_3d if len(module.divisor) == 3 else torch.channels_last
        self.module = module.to(device, memory_format=self.layout)
        self.device = device
        self.exact = exact

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        import torch

        tensor = torch.from_numpy(x).to(self.device, memory_format=self.layout)
        with torch.inference_mode(), torch.autocast(self.device, self.precision, enabled=not self.exact):
            outputs = self.module(tensor)
        return tuple(output.float().cpu().numpy() for output in outputs)


def _openvino() -> Any:
    """OpenVINO without its telemetry, which forks this process and reports every conversion to its makers."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


class _OpenVinoNetwork:
    """OpenVINO on the CPU, compiled once for all shapes."""

    def __init__(self, module: torch.nn.Module, bfloat16: bool) -> None:
        import warnings

        import torch

        openvino = _openvino()
        example = torch.zeros(1, _channels_in(module), *(2 * d for d in module.divisor))
        with warnings.catch_warnings():
            # OpenVINO traces with what torch calls deprecated, and torch fears for shapes, which tests try.
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", torch.jit.TracerWarning)
            # OpenVINO would have the trace checked by more runs of the network: most of the time that loading takes.
            traced = torch.jit.trace(module, example, check_trace=False, strict=False)
            model = openvino.convert_model(traced, example_input=example)
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
            "INFERENCE_NUM_THREADS": machine.usable_cores(),
            "NUM_STREAMS": 1,
        }
        self.request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
        self.bytes_per_voxel = _activation_bytes(module)

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        outputs = self.request.infer({0: x}, share_inputs=True)
        return tuple(outputs.to_tuple())


def _channels_in(module: torch.nn.Module) -> int:
    """Channels of the input: those of the first convolution, unless the module says it."""
    known = getattr(module, "channels_in", None)
    return int(known or next(p.shape[1] for p in module.parameters() if p.ndim >= 4))


def _activation_bytes(module: torch.nn.Module) -> float:
    """Bytes per voxel of a module's intermediate results and outputs: the largest three in a row, and the outputs.

    Three, because a convolution reads one, writes one, and a skip or a sum keeps another.
    """
    import torch

    device = next(module.parameters()).device
    sizes: list[int] = []
    hooks = [
        part.register_forward_hook(lambda _m, _i, out: sizes.append(out.numel() * 4))
        for part in module.modules()
        if not list(part.children()) and not isinstance(part, torch.nn.Identity)
    ]
    # Twice the least size: normalisations refuse a single voxel.
    example = torch.zeros(1, _channels_in(module), *(2 * d for d in module.divisor), device=device)
    with torch.inference_mode():
        outputs = module(example)
    for hook in hooks:
        hook.remove()
    most = max(sum(sizes[i : i + 3]) for i in range(len(sizes)))
    return (most + sum(4 * out.numel() for out in outputs)) / (example.numel() / example.shape[1])


def gains_by_16_bits(device: str) -> bool:
    """Whether the device computes faster in 16 bits than in 32."""
    return device == "cuda" or not _cpu_flags().isdisjoint({"avx512_bf16", "amx_bf16"})


def _cpu_flags() -> set[str]:
    """What the processor can do, in the kernel's words."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return set(next((line for line in lines if line.startswith("flags")), "").split())


def available_memory(device: str) -> int:
    """Bytes that can still be taken on the device, by the limits set on this process."""
    if device == "cpu":
        return machine.available_memory()
    import torch

    # What torch keeps for its next tensors is not free to others, but to this process.
    return int(torch.cuda.mem_get_info()[0]) + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()


def tile_memory(device: str) -> int:
    """Bytes for one tile: `TILE_MEMORY`, halved as often as the free memory asks for.

    In such coarse steps, because labels can depend on the tiles (a GroupNorm sees a whole tile): small
    differences of the free memory must not show in the result.
    """
    share, memory = MEMORY_SHARE * available_memory(device), TILE_MEMORY
    while memory > max(1, share):
        memory //= 2
    return memory


def tile_shape(shape: Shape, bytes_per_voxel: float, multiple: Shape, halo: Shape, device: str) -> Shape:
    """Shape of the tiles (halo included) that covers a volume with the least computation.

    Parameters
    ----------
    shape : tuple of int
        The volume, ZYX.
    bytes_per_voxel : float
        Memory that the network takes at its peak, per voxel of the tile.
    multiple : tuple of int
        The volume is padded up to a multiple of this, and tiles are multiples of it.
    halo : tuple of int
        Voxels on each side of a tile that only serve its inner part.
    device : str
        "cpu" or "cuda".

    Returns
    -------
    tuple of int
        Not larger than the padded volume. When memory is too small for any tile with an inner
        part, the smallest there can be.
    """
    budget = tile_memory(device) / bytes_per_voxel
    choices = [_axis_choices(*axis) for axis in zip(shape, multiple, halo, strict=True)]
    plans = [
        (total_z * total_y * total_x, (z, y, x))
        for (total_z, z), (total_y, y), (total_x, x) in itertools.product(*choices)
        if z * y * x <= budget
    ]
    if plans:
        return min(plans)[1]
    z, y, x = (min(tile for _, tile in axis) for axis in choices)
    return z, y, x


def _axis_choices(size: int, multiple: int, halo: int) -> list[tuple[int, int]]:
    """Ways to divide an axis, as `nucseg.tiling.plan_tiles` does it: (voxels of all tiles, voxels of the largest)."""
    length, margin = -(-size // multiple), -(-halo // multiple)
    choices = [(length, length)]
    for count in range(2, length + 1):
        total = length + 2 * margin * (count - 1)
        tile = -(-total // count)
        if tile >= length or tile == choices[-1][1]:
            continue
        if count > 2 and tile <= 2 * margin:
            break
        choices.append((total, tile))
    return [(total * multiple, tile * multiple) for total, tile in choices]
