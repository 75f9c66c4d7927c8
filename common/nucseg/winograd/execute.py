"""Buffers, threads, and the run of a list of convolutions."""

from __future__ import annotations

import itertools
import math
import mmap
import queue
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from llvmlite import ir

from nucseg.winograd import kernels
from nucseg.winograd.emit import Library, Processor, processor
from nucseg.winograd.lowering import Convolution, Plan, Triple, UnsupportedNetworkError, Value, lower
from nucseg.winograd.weights import bias_of, block_vectors, direct_weights, padded, winograd_weights

if TYPE_CHECKING:
    import torch

CHUNKS = 4
"""Pieces of work per thread: several, so that a thread that is held up doesn't hold up the step."""

RING_BYTES = 24 << 20
"""Size of the part of an intermediate result that is kept when the next step can follow on its heels."""

NO_RING = 1 << 40
FLOOR = {True: 0, False: 0xFF800000}
"""Float32 patterns of 0 and of minus infinity: the smallest results with and without relu."""


@dataclass(eq=False)
class _Group:
    """Steps that run together: `followers` read the result of `leader` plane by plane, while it is in the cache.

    Attributes
    ----------
    halo : int
        Planes on each side that the followers see.
    """

    leader: Convolution
    followers: list[Convolution] = field(default_factory=list)
    halo: int = 0

    @property
    def steps(self) -> list[Convolution]:
        return [self.leader, *self.followers]


class WinogradNetwork:
    """A network compiled for this processor.

    Parameters
    ----------
    module : torch.nn.Module
        In evaluation mode; maps (N, C, Z, Y, X) to a tuple of such tensors.
    threads : int
        Cores to use. The result does not depend on it.
    bfloat16 : bool
        Multiply in bfloat16 (sums stay float32). Needs a processor that does.

    Raises
    ------
    UnsupportedNetworkError
        The module or the processor is of an unknown kind.
    """

    def __init__(self, module: torch.nn.Module, threads: int, *, bfloat16: bool = False) -> None:
        known = processor()
        if known is None or (bfloat16 and not known.bfloat16):
            raise UnsupportedNetworkError("this processor")
        self.processor: Processor = known
        self.threads = threads
        self.bfloat16 = bfloat16
        self.plan: Plan = lower(module)
        self.groups = _group(self.plan)
        scales = [v.scale for step in self.plan.steps for v in (step.out, step.pooled) if v is not None]
        z, y, x = (max(axis) for axis in zip(*scales, strict=True))
        self.divisor: Triple = (z, y, x)
        # Blocks of two voxels at the coarsest level
        self.alignment: Triple = (2 * z, 2 * y, 2 * x)
        lanes = known.lanes
        self._weights = {
            step: winograd_weights(step, lanes, bfloat16)
            if step.minimal
            else direct_weights(
                step, self._width(step.sources[0].value), lanes, bfloat16 and not step.sources[0].value.is_input
            )
            for step in self.plan.steps
        }
        self._biases = {step: bias_of(step, lanes) for step in self.plan.steps}
        self._library = self._compile()
        self._pool = ThreadPoolExecutor(threads, "winograd")
        self._outputs = _Outputs()
        self._arena = _memory(0)

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """Run on float32 (N, C, Z, Y, X); axes ZYX multiples of what the network divides them by."""
        if x.shape[1] != self.plan.input.channels or any(n % d for n, d in zip(x.shape[2:], self.divisor, strict=True)):
            wanted = f"(N, {self.plan.input.channels}, Z, Y, X) with multiples of {self.divisor}"
            raise ValueError(f"an input of shape {x.shape} where {wanted} is needed")
        runs = [_Run(self, np.ascontiguousarray(np.moveaxis(image, 0, -1), np.float32)).outputs() for image in x]
        if len(runs) == 1:
            return tuple(output[None] for output in runs[0])
        return tuple(np.stack(outputs) for outputs in zip(*runs, strict=True))

    def bytes_per_voxel(self, shape: Triple) -> float:
        """Memory at the peak of a run on a volume of this shape, per voxel: input, intermediates and outputs."""
        outputs = sum(self._size(v, shape) for v in self.plan.outputs)
        return 4 * self.plan.input.channels + (self._memory_plan(shape)[1] + outputs) / math.prod(shape)

    def _compile(self) -> Library:
        module, lanes = ir.Module("nucseg"), self.processor.lanes
        kernels.emit_winograd(module, "winograd", lanes, self.bfloat16)
        kernels.emit_gathered(module, "gathered", lanes, self.bfloat16)
        widths = {block_vectors(len(s.bias), lanes) for s in self.plan.steps}
        for rows, width in itertools.product(self.processor.rows, sorted(widths)):
            kernels.emit_product(module, f"product_{rows}_{width}", lanes, rows, width, self.bfloat16)
        for name, shape in {
            self._kernel(s): self._direct_shape(s) for s in self.plan.steps if s.sources[0].value.is_input
        }.items():
            kernels.emit_direct(module, name, lanes, *shape)
        return Library(module)

    def _direct_shape(self, step: Convolution) -> tuple[int, int, int, int, int]:
        """Rows, vectors, channels, kernel and stride along X: what a direct kernel is made for."""
        width = block_vectors(len(step.bias), self.processor.lanes)
        return self.processor.rows[-1], width, self._width(step.sources[0].value), step.weight.shape[4], step.stride[2]

    def _kernel(self, step: Convolution) -> str:
        """Name of its kernel."""
        if step.sources[0].value.is_input:
            return "direct_" + "_".join(map(str, self._direct_shape(step)))
        return "winograd" if step.minimal else "gathered"

    def _width(self, value: Value) -> int:
        """Channels that the array of a value holds."""
        return value.channels if value.is_input else padded(value.channels, self.processor.lanes)

    def _size(self, value: Value, shape: Triple) -> int:
        """Bytes of a value's array."""
        return 4 * self._width(value) * math.prod(_level(shape, value))

    def _ring(self, group: _Group, shape: Triple) -> tuple[int, int, int]:
        """Bytes and planes of the buffer between leader and followers, and planes that followers do at once."""
        if not group.followers:
            return 0, NO_RING, 0
        depth, height, width = _level(shape, group.leader.out)
        plane = 4 * self._width(group.leader.out) * height * width
        slab = max(2, RING_BYTES // plane // 2 * 2)
        planes = min(slab + 2 * group.halo + 2, depth + depth % 2)
        return plane * planes, planes, slab

    def _memory_plan(self, shape: Triple) -> tuple[dict[Value, int], int]:
        """Offset of each intermediate array in one block of memory, and the block's size."""
        lives: dict[Value, list[int]] = {}
        for i, group in enumerate(self.groups):
            for step in group.steps:
                for value in step.reads:
                    if value in lives:
                        lives[value][2] = i
                for made in (step.out, step.pooled):
                    if made is not None and made not in self.plan.outputs:
                        ring = step is group.leader and made is step.out and bool(group.followers)
                        lives[made] = [self._ring(group, shape)[0] if ring else self._size(made, shape), i, i]
        read = {value for step in self.plan.steps for value in step.reads}
        wanted = {value: life for value, life in lives.items() if value in read}
        offsets, size = _place([(-(-size // 64) * 64, first, last) for size, first, last in wanted.values()])
        return dict(zip(wanted, offsets, strict=True)), size


def _level(shape: Triple, value: Value) -> Triple:
    """Shape of a value's array, without channels."""
    z, y, x = (n // s for n, s in zip(shape, value.scale, strict=True))
    return z, y, x


def _group(plan: Plan) -> list[_Group]:
    """Put steps together whose intermediate result need not be kept whole."""
    groups: list[_Group] = []
    steps = list(plan.steps)
    while steps:
        group = _Group(steps.pop(0))
        leader = group.leader
        readers = [s for s in plan.steps if leader.out in s.reads]
        depths = {s.weight.shape[2] for s in readers}
        if (
            steps[: len(readers)] == readers
            and leader.pooled is None
            and leader.out not in plan.outputs
            and (depths == {1} or (len(readers) == 1 and depths != set()))
            and all(s.stride == (1, 1, 1) and s.residual is not leader.out for s in readers)
            and all(source.shift == (0, 0, 0) for s in readers for source in s.sources if source.value is leader.out)
        ):
            group.followers, steps = readers, steps[len(readers) :]
            group.halo = max(depths) // 2
        groups.append(group)
    return groups


class _Outputs:
    """Memory of results, used again when the caller has let go of them: fresh memory costs time to get."""

    def __init__(self) -> None:
        self.free: list[mmap.mmap] = []

    def take(self, size: int) -> np.ndarray:
        """A float32 array of at least `size` bytes, of any content."""
        fitting = [b for b in self.free if size <= len(b) <= 2 * size]
        memory = min(fitting, key=len) if fitting else _memory(size)
        # What did not fit belongs to another shape of volume.
        self.free = [b for b in self.free if b is not memory] if fitting else []
        array = np.frombuffer(memory, np.float32)
        weakref.finalize(array, self.free_again, memory).atexit = False
        return array

    def free_again(self, memory: mmap.mmap) -> None:
        """Called when the last view of an array is gone."""
        self.free.append(memory)


def _memory(size: int) -> mmap.mmap:
    """New memory, in large pages where the kernel has them: those come several times faster."""
    memory = mmap.mmap(-1, max(size, 4), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def _place(lives: list[tuple[int, int, int]]) -> tuple[list[int], int]:
    """Offsets in one block of memory for arrays of (bytes, first step, last step), and its size."""
    offsets = [0] * len(lives)
    placed: list[int] = []
    for i in sorted(range(len(lives)), key=lambda i: -lives[i][0]):
        size, first, last = lives[i]
        for other in sorted(placed, key=lambda o: offsets[o]):
            together = lives[other][1] <= last and first <= lives[other][2]
            if together and offsets[other] < offsets[i] + size and offsets[i] < offsets[other] + lives[other][0]:
                offsets[i] = offsets[other] + lives[other][0]
        placed.append(i)
    return offsets, max((offset + life[0] for offset, life in zip(offsets, lives, strict=True)), default=0)


class _Run:
    """One volume's way through the network."""

    def __init__(self, network: WinogradNetwork, image: np.ndarray) -> None:
        self.net = network
        self.shape: Triple = image.shape[:3]
        offsets, size = network._memory_plan(self.shape)
        if len(network._arena) < size:
            network._arena = _memory(size)
        self.arena = np.frombuffer(network._arena, np.uint8)
        self.made = {v: network._outputs.take(network._size(v, self.shape)) for v in network.plan.outputs}
        self.addresses = {network.plan.input: image.ctypes.data}
        self.addresses |= {value: self.arena.ctypes.data + offset for value, offset in offsets.items()}
        self.addresses |= {value: array.ctypes.data for value, array in self.made.items()}
        self.image = image  # its address is in use
        self.rings: dict[Value, int] = {}
        widest = max(network._width(s.value) for step in network.plan.steps for s in step.sources)
        self.zeros = np.zeros(widest * self.shape[2], np.float32)
        self.scratch: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()
        for _ in range(network.threads):
            self.scratch.put(_aligned(max(self._scratch(step) for step in network.plan.steps)))

    def outputs(self) -> list[np.ndarray]:
        """Run; the outputs as (C, Z, Y, X)."""
        for group in self.net.groups:
            self._run_group(group)
        results = []
        for value, array in self.made.items():
            array = array[: self.net._size(value, self.shape) // 4].reshape(*_level(self.shape, value), -1)
            results.append(np.moveaxis(array[..., : value.channels], -1, 0))
        return results

    def _run_group(self, group: _Group) -> None:
        _, planes, slab = self.net._ring(group, self.shape)
        leader = group.leader
        if not group.followers:
            self._work(self._prepare(leader))
            return
        self.rings[leader.out] = planes
        lead, follow = self._prepare(leader), [self._prepare(step) for step in group.followers]
        depth = _level(self.shape, leader.out)[0]
        done = 0
        for start in range(0, depth, slab):
            stop = min(start + slab, depth)
            ahead = min(stop + group.halo + (stop + group.halo) % 2, depth)
            self._work(lead, done, ahead)
            for job in follow:
                self._work(job, start, stop)
            done = ahead

    def _prepare(self, step: Convolution) -> _Job:
        fields = self._winograd_fields(step) if step.minimal else self._direct_fields(step)
        names = kernels.WINOGRAD_FIELDS if step.minimal else kernels.DIRECT_FIELDS
        depth, height, _ = _level(self.shape, step.out)
        together = 2 if step.minimal else 1
        numbers = np.array([fields[n] for n in names], np.int64)
        return _Job(
            self.net._library.function(self.net._kernel(step), 4), numbers, -(-height // together), together, depth
        )

    def _common_fields(self, step: Convolution) -> dict[str, int]:
        net, lanes = self.net, self.net.processor.lanes
        block = block_vectors(len(step.bias), lanes)
        # minimal filtering counts tiles of 2 voxels
        rows = self._rows(-(-_level(self.shape, step.out)[2] // (2 if step.minimal else 1)))
        return {
            "rows": rows,
            "gemm": net._library.address(f"product_{rows}_{block}"),
            "weights": net._weights[step].ctypes.data,
            "bias": net._biases[step].ctypes.data,
            "blocks": len(net._biases[step]) // (block * lanes),
            "block_vectors": block,
            "floor": FLOOR[step.relu],
            "out": self._address(step.out),
            "out_ring": self.rings.get(step.out, NO_RING),
        }

    def _winograd_fields(self, step: Convolution) -> dict[str, int]:
        fields = self._common_fields(step) | {
            **dict(zip(("depth", "height", "width"), _level(self.shape, step.out), strict=True)),
            "residual": self._address(step.residual),
            "pooled": self._address(step.pooled),
            "pool_z": step.pool[0] if step.pool else 1,
            "zeros": self.zeros.ctypes.data,
            "skips": _skips(step.sources[0].shift),
        }
        for i in range(2):
            source = step.sources[i] if i < len(step.sources) else None
            fields |= {
                f"source{i}": self._address(source.value) if source else 0,
                f"vectors{i}": self.net._width(source.value) // self.net.processor.lanes if source else 0,
                f"ring{i}": self.rings.get(source.value, NO_RING) if source else NO_RING,
                **{f"shift_{a}{i}": source.shift[n] if source else 0 for n, a in enumerate("zyx")},
            }
        return fields

    def _direct_fields(self, step: Convolution) -> dict[str, int]:
        source = step.sources[0].value
        fields = self._common_fields(step) | {
            "source": self._address(source),
            "vectors": self.net._width(source) // self.net.processor.lanes,
            "ring": self.rings.get(source, NO_RING),
            **dict(zip(("depth", "height", "width"), _level(self.shape, source), strict=True)),
            **dict(zip(("out_height", "out_width"), _level(self.shape, step.out)[1:], strict=True)),
        }
        for n, axis in enumerate("zyx"):
            fields[f"kernel_{axis}"] = step.weight.shape[2 + n]
            fields[f"stride_{axis}"] = step.stride[n]
            fields[f"before_{axis}"] = step.before[n]
        return fields

    def _address(self, value: Value | None) -> int:
        """Where the array of a value lies; 0 for one that is not kept."""
        return 0 if value is None else self.addresses.get(value, 0)

    def _rows(self, count: int) -> int:
        """Height of the blocks that wastes least on rows of `count`; each block also costs its set-up."""
        return min(self.net.processor.rows, key=lambda rows: -(-count // rows) * (rows + 1.5))

    def _scratch(self, step: Convolution) -> int:
        net, lanes, rows = self.net, self.net.processor.lanes, self.net.processor.rows[-1]
        block = block_vectors(len(step.bias), lanes)
        channels = sum(net._width(s.value) for s in step.sources)
        _, _, z, y, x = step.weight.shape
        if step.sources[0].value.is_input:
            return kernels.direct_scratch(rows, z * y, channels, x, step.stride[2])
        if step.minimal:
            return kernels.winograd_scratch(lanes, rows, channels // lanes, block)
        return kernels.gathered_scratch(lanes, rows, z * y * x, channels // lanes, block)

    def _work(self, job: _Job, start: int = 0, stop: int | None = None) -> None:
        """Do a step for the planes from `start` to `stop`, on all threads."""
        per_row = job.rows
        begin = start // job.planes * per_row
        end = -(-(job.depth if stop is None else stop) // job.planes) * per_row
        pieces = min(end - begin, CHUNKS * self.net.threads)
        if pieces <= 0:
            return
        edges = [begin + (end - begin) * i // pieces for i in range(pieces + 1)]
        list(self.net._pool.map(lambda span: self._piece(job, *span), itertools.pairwise(edges)))

    def _piece(self, job: _Job, start: int, stop: int) -> None:
        scratch = self.scratch.get()
        job.function(job.numbers.ctypes.data, scratch.ctypes.data, start, stop)
        self.scratch.put(scratch)


@dataclass(frozen=True)
class _Job:
    """A step ready to run: its kernel, its description, and its units per `planes` planes."""

    function: Callable[..., None]
    numbers: np.ndarray
    rows: int
    planes: int
    depth: int


def _aligned(size: int) -> np.ndarray:
    """Bytes that begin at a cache line."""
    buffer = np.empty(size + 64, np.uint8)
    offset = -buffer.ctypes.data % 64
    return buffer[offset : offset + size]


def _skips(shift: Triple) -> int:
    """Bits of the positions at which a source upsampled along some axes transforms to zero.

    Of the four inputs of a tile the middle two are then the same, and position 2 is their difference.
    """
    bits = 0
    for p, position in enumerate(itertools.product(range(4), repeat=3)):
        if any(s and i == 2 for s, i in zip(shift, position, strict=True)):
            bits |= 1 << p
    return bits - (1 << 64) if bits >> 63 else bits
