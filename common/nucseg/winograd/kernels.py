"""The convolutions as machine code.

All arrays are float32 (Z, Y, X, C) with C a multiple of a vector's lanes, except a network's input.
A kernel does a range of work units; one unit is a row of output voxels along X (of a 1x1x1 or
strided convolution), or a pair by a pair of rows (Z, Y) for minimal filtering.

Within a unit, voxels (or 2x2x2 tiles of voxels) are taken in blocks of `rows`, the height of the
matrix products whose sums fit the registers. The last block of a row is moved back so that it ends
with the row. Each output voxel is computed from its inputs in one fixed order, wherever the tile of
a tiled run begins (at even voxels) and whatever the number of threads: the same bytes come out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from nucseg.winograd.emit import FLOAT, INT, POINTER, Code

SPILL = 4096
"""Bytes of scratch that take what lies outside the volume."""

WINOGRAD_FIELDS = (
    # two sources: address, vectors of channels, shift per axis where it is upsampled by 2, planes of its ring buffer
    *(f"{n}{i}" for i in range(2) for n in ("source", "vectors", "shift_z", "shift_y", "shift_x", "ring")),
    *("depth", "height", "width", "rows", "gemm", "weights", "bias", "blocks", "block_vectors", "floor"),
    *("out", "out_ring", "residual", "pooled", "pool_z", "zeros", "skips"),
)
"""The whole numbers that describe one minimal-filtering convolution to its kernel.

`floor` holds the float32 pattern of the smallest output (0 for relu, minus infinity for none);
`out`, `residual` and `pooled` are 0 where there is none; bit p of `skips` says that position p of the
transformed block sees nothing of source 0.
"""

DIRECT_FIELDS = (
    *("source", "vectors", "ring", "depth", "height", "width", "out_height", "out_width", "rows", "gemm"),
    *("kernel_z", "kernel_y", "kernel_x", "stride_z", "stride_y", "stride_x", "before_z", "before_y", "before_x"),
    *("weights", "bias", "blocks", "block_vectors", "floor", "out", "out_ring"),
)
"""The whole numbers that describe one convolution of another kind to its kernel."""


def _fields(code: Code, names: tuple[str, ...]) -> dict[str, Any]:
    """The description that the first argument points at."""
    return {name: code.load(code["p_job"], 8 * i, INT) for i, name in enumerate(names)}


def _sums(code: Code, rows: int, vectors: int) -> list[list[Any]]:
    """Registers for `rows` x `vectors` vectors of sums, at zero."""
    sums = [[code.slots(code.vector) for _ in range(vectors)] for _ in range(rows)]
    for row in sums:
        for register in row:
            code.b.store(code.zeros(), register)
    return sums


def _multiply_step(
    code: Code, sums: list[list[Any]], left: Any, row_bytes: int, right: Any, bfloat16: bool = False
) -> None:
    """Add to each row of sums the number (or pair) at `left`, `row_bytes` apart, times the vectors at `right`.

    Loops have one such step per turn: unrolled further, LLVM loads ahead of the registers there are and spills.
    """
    weights = [code.load(right, v * code.bytes) for v in range(len(sums[0]))]
    multiply = code.multiply_add_pairs if bfloat16 else code.multiply_add
    for r, row in enumerate(sums):
        value = code.spread(code.load(left, r * row_bytes, FLOAT))
        for weight, register in zip(weights, row, strict=True):
            code.b.store(multiply(value, weight, code.b.load(register)), register)


def emit_product(module: ir.Module, name: str, lanes: int, rows: int, vectors: int, bfloat16: bool) -> None:
    """Matrix product of one block: (rows x n*lanes) times (n*lanes x vectors*lanes).

    Arguments: the left matrix as (n, rows, lanes), the right one as (n, lanes, vectors*lanes), the
    result (rows, vectors*lanes), and n. In bfloat16 both hold pairs along the summed axis.
    """
    code = Code(module, name, ("p_left", "p_right", "p_result", "n"), lanes)
    steps = lanes // 2 if bfloat16 else lanes
    sums = _sums(code, rows, vectors)
    with code.loop(0, code["n"]) as i, code.loop(0, steps) as step:
        left = code.at(code["p_left"], code.add(code.mul(i, rows * steps * 4), code.mul(step, 4)))
        right = code.at(code["p_right"], code.mul(code.add(code.mul(i, steps), step), vectors * code.bytes))
        _multiply_step(code, sums, left, steps * 4, right, bfloat16)
    for r in range(rows):
        for v in range(vectors):
            code.store(code.b.load(sums[r][v]), code["p_result"], (r * vectors + v) * code.bytes)
    code.b.ret_void()


def _product(code: Code, job: dict[str, Any]) -> Any:
    """The matrix product that a description names."""
    kind = ir.FunctionType(ir.VoidType(), [POINTER, POINTER, POINTER, INT]).as_pointer()
    return code.b.inttoptr(job["gemm"], kind)


def _into(code: Code, d: list[Any]) -> list[Any]:
    """Minimal filtering F(2,3), input side, along one axis."""
    b = code.b
    return [b.fsub(d[0], d[2]), b.fadd(d[1], d[2]), b.fsub(d[2], d[1]), b.fsub(d[1], d[3])]


def _accumulate(code: Code, pair: list[Any] | None, value: Any, position: int) -> list[Any]:
    """Minimal filtering F(2,3), output side: add the value at `position` to the two outputs."""
    b = code.b
    if pair is None:
        return [value, value]
    if position == 1:
        return [b.fadd(pair[0], value), value]
    if position == 2:
        return [b.fadd(pair[0], value), b.fsub(pair[1], value)]
    return [pair[0], b.fsub(pair[1], value)]


def emit_winograd(module: ir.Module, name: str, lanes: int, bfloat16: bool) -> None:
    """A 3x3x3 convolution of stride 1 by F(2x2x2, 3x3x3), with its bias, sum, relu and pooling.

    Arguments: the description (`WINOGRAD_FIELDS`), scratch (`winograd_scratch` bytes), the units from
    and to. Up to two sources are read as if concatenated, each as if upsampled.
    """
    code = Code(module, name, ("p_job", "p_scratch", "start", "stop"), lanes)
    b = code.b
    job = _fields(code, WINOGRAD_FIELDS)
    pointer = {
        n: b.inttoptr(job[n], POINTER)
        for n in ("source0", "source1", "weights", "bias", "out", "residual", "pooled", "zeros")
    }
    vector_bytes = code.bytes
    value_bytes = vector_bytes // 2 if bfloat16 else vector_bytes
    rows, depth, height, width = job["rows"], job["depth"], job["height"], job["width"]
    vectors = code.add(job["vectors0"], job["vectors1"])
    block_bytes = code.mul(job["block_vectors"], vector_bytes)
    product_bytes = code.mul(rows, block_bytes)
    left_bytes = code.mul(rows, value_bytes)
    position_bytes = code.mul(vectors, left_bytes)
    right_bytes = code.mul(job["block_vectors"], lanes * value_bytes)
    out_bytes = code.mul(job["blocks"], block_bytes)
    tiles_y, tiles_x = b.ashr(code.add(height, 1), code.number(1)), b.ashr(code.add(width, 1), code.number(1))
    last = code.maximum(code.sub(tiles_x, rows), 0)

    spill = code["p_scratch"]
    columns = code.at(spill, SPILL)
    products = code.at(columns, 4 * 16 * vector_bytes)
    left = code.at(products, code.mul(product_bytes, 64))
    source_rows, out_rows, residual_rows, pooled_rows = (code.slots(POINTER, n) for n in (32, 4, 4, 2))
    floor = code.spread(b.bitcast(b.trunc(job["floor"], ir.IntType(32)), FLOAT))
    product = _product(code, job)

    def given(name: str) -> Any:
        return b.icmp_signed("!=", job[name], code.number(0))

    def slot(array: Any, index: int) -> Any:
        return b.gep(array, [code.number(index)])

    def find_rows(z0: Any, y0: Any) -> list[Any]:
        """Fill in the addresses of rows; whether each of the four output rows exists."""
        exists = []
        for s in range(2):
            row_height = b.ashr(height, job[f"shift_y{s}"])
            row_bytes = code.mul(b.ashr(width, job[f"shift_x{s}"]), job[f"vectors{s}"], vector_bytes)
            for r in range(16):
                z, y = code.add(z0, r // 4 - 1), code.add(y0, r % 4 - 1)
                inside = b.and_(code.within(z, depth), code.within(y, height))
                plane = b.srem(b.ashr(z, job[f"shift_z{s}"]), job[f"ring{s}"])
                row = code.add(code.mul(plane, row_height), b.ashr(y, job[f"shift_y{s}"]))
                address = code.at(pointer[f"source{s}"], code.mul(row, row_bytes))
                b.store(b.select(inside, address, pointer["zeros"]), slot(source_rows, 16 * s + r))
        for q in range(4):
            z, y = code.add(z0, q // 2), code.add(y0, q % 2)
            exists.append(b.and_(code.within(z, depth), code.within(y, height)))
            in_plane = code.mul(y, width, out_bytes)
            plane_bytes = code.mul(height, width, out_bytes)
            place = code.add(code.mul(b.srem(z, job["out_ring"]), plane_bytes), in_plane)
            b.store(code.at(pointer["out"], place), slot(out_rows, q))
            place = code.add(code.mul(z, plane_bytes), in_plane)
            b.store(code.at(pointer["residual"], place), slot(residual_rows, q))
        half_height, half_width = (b.ashr(n, code.number(1)) for n in (height, width))
        for q in range(2):
            z = code.add(z0, q)
            row = code.add(code.mul(b.sdiv(z, job["pool_z"]), half_height), b.ashr(y0, code.number(1)))
            b.store(code.at(pointer["pooled"], code.mul(row, half_width, out_bytes)), slot(pooled_rows, q))
        return exists

    def transform_input(s: int, first_tile: Any) -> None:
        first_vector = code.number(0) if s == 0 else job["vectors0"]
        voxel_bytes = code.mul(job[f"vectors{s}"], vector_bytes)
        column_bytes = 16 * vector_bytes

        def transform_column(x: Any, target: Any, v: Any) -> None:
            """One column of voxels, 4x4 along Z and Y."""
            with b.if_else(code.within(x, width)) as (inside, outside):
                with inside:
                    offset = code.mul(b.ashr(x, job[f"shift_x{s}"]), voxel_bytes)
                    offset = code.add(offset, code.mul(v, vector_bytes))
                    lines = []
                    for z in range(4):
                        line = [b.load(slot(source_rows, 16 * s + 4 * z + y)) for y in range(4)]
                        lines.append(_into(code, [code.load(row, offset) for row in line]))
                    for y in range(4):
                        for z, value in enumerate(_into(code, [lines[z][y] for z in range(4)])):
                            code.store(value, target, (4 * z + y) * vector_bytes)
                with outside:
                    for r in range(16):
                        code.store(code.zeros(), target, r * vector_bytes)

        with code.loop(0, job[f"vectors{s}"]) as v:
            base = code.at(left, code.mul(code.add(first_vector, v), left_bytes))
            # A tile spans 4 columns and shares 2 with the next: as many are kept as fit the first cache.
            with code.loop(0, code.add(rows, 1)) as t:
                new = code.mul(b.and_(t, code.number(1)), 2 * column_bytes)
                x = code.sub(code.mul(code.add(first_tile, t), 2), 1)
                for column in range(2):
                    transform_column(code.add(x, column), code.at(columns, code.add(new, column * column_bytes)), v)
                with b.if_then(b.icmp_signed(">", t, code.number(0))):
                    old = code.at(columns, code.sub(2 * column_bytes, new))
                    pairs = (old, code.at(columns, new))
                    target = code.at(base, code.mul(code.sub(t, 1), value_bytes))
                    for r in range(16):
                        four = [code.load(pair, (16 * x + r) * vector_bytes) for pair in pairs for x in range(2)]
                        for value in _into(code, four):
                            code.store(code.to_bfloat16(value) if bfloat16 else value, target)
                            target = code.at(target, position_bytes)

    def multiply(block: Any) -> None:
        weights = code.at(pointer["weights"], code.mul(block, code.mul(vectors, right_bytes), 64))
        with code.loop(0, 64) as p:
            skipped = b.and_(b.lshr(job["skips"], p), code.number(1))
            first = code.mul(skipped, job["vectors0"])
            a = code.at(left, code.add(code.mul(p, position_bytes), code.mul(first, left_bytes)))
            w = code.at(weights, code.mul(code.add(code.mul(p, vectors), first), right_bytes))
            b.call(product, [a, w, code.at(products, code.mul(p, product_bytes)), code.sub(vectors, first)])

    def transform_output(block: Any, first_tile: Any, exists: list[Any]) -> None:
        with code.loop(0, rows) as t, code.loop(0, job["block_vectors"]) as v:
            source = code.at(products, code.add(code.mul(t, block_bytes), code.mul(v, vector_bytes)))
            channel = code.add(code.mul(block, block_bytes), code.mul(v, vector_bytes))
            tile: list[Any] = [None] * 4
            for x in range(4):
                plane: list[Any] = [None] * 2
                for y in range(4):
                    line: Any = None
                    for z in range(4):
                        value = code.load(source, code.mul(product_bytes, 16 * z + 4 * y + x))
                        line = _accumulate(code, line, value, z)
                    plane = [_accumulate(code, plane[z], line[z], y) for z in range(2)]
                tile = [_accumulate(code, tile[q], plane[q // 2][q % 2], x) for q in range(4)]
            bias = code.load(pointer["bias"], channel)
            tx = code.mul(code.add(first_tile, t), 2)
            places = []
            for x in range(2):
                inside = code.within(code.add(tx, x), width)
                places.append((inside, code.add(code.mul(code.add(tx, x), out_bytes), channel)))
            values = [code.slots(code.vector) for _ in range(8)]
            for q in range(4):
                for x in range(2):
                    b.store(b.fadd(tile[q][x], bias), values[2 * q + x])
            with b.if_then(given("residual")):
                for q in range(4):
                    for x, (inside, place) in enumerate(places):
                        row = code.at(b.load(slot(residual_rows, q)), place)
                        other = code.load(b.select(b.and_(inside, exists[q]), row, spill))
                        b.store(b.fadd(b.load(values[2 * q + x]), other), values[2 * q + x])
            for value in values:
                b.store(code.larger(b.load(value), floor), value)
            with b.if_then(given("out")):
                for q in range(4):
                    for x, (inside, place) in enumerate(places):
                        row = code.at(b.load(slot(out_rows, q)), place)
                        code.store(b.load(values[2 * q + x]), b.select(b.and_(inside, exists[q]), row, spill))
            with b.if_then(given("pooled")):
                largest = []
                for z in range(2):
                    four = [b.load(values[4 * z + i]) for i in range(4)]
                    largest.append(code.larger(code.larger(four[0], four[1]), code.larger(four[2], four[3])))
                both = b.icmp_signed("==", job["pool_z"], code.number(2))
                joined = code.larger(largest[0], largest[1])
                place = code.add(code.mul(code.add(first_tile, t), out_bytes), channel)
                for z in range(2):
                    row = code.at(b.load(slot(pooled_rows, z)), place)
                    value = b.select(both, joined, largest[z])
                    code.store(value, b.select(b.and_(places[0][0], exists[2 * z]), row, spill))

    with code.loop(code["start"], code["stop"]) as unit:
        exists = find_rows(code.mul(b.sdiv(unit, tiles_y), 2), code.mul(b.srem(unit, tiles_y), 2))
        with code.loop(0, tiles_x, rows) as tile:
            first_tile = code.minimum(tile, last)
            transform_input(0, first_tile)
            transform_input(1, first_tile)
            with code.loop(0, job["blocks"]) as block:
                multiply(block)
                transform_output(block, first_tile, exists)
    b.ret_void()


def winograd_scratch(lanes: int, rows: int, vectors: int, block_vectors: int) -> int:
    """Bytes of scratch that a minimal-filtering convolution needs per thread."""
    return SPILL + 4 * lanes * (4 * 16 + 64 * rows * (block_vectors + vectors))


class _Direct:
    """What the two kernels for convolutions of any kernel size and stride have in common.

    A unit is one row of outputs. The voxels that a block of outputs sees are gathered first, with zeros
    outside the volume.
    """

    def __init__(self, module: ir.Module, name: str, lanes: int) -> None:
        self.code = code = Code(module, name, ("p_job", "p_scratch", "start", "stop"), lanes)
        self.job = _fields(code, DIRECT_FIELDS)
        self.pointer = {n: code.b.inttoptr(self.job[n], POINTER) for n in ("source", "weights", "bias", "out")}
        self.spill = code["p_scratch"]
        self.gathered = code.at(self.spill, SPILL)
        self.floor = code.spread(code.b.bitcast(code.b.trunc(self.job["floor"], ir.IntType(32)), FLOAT))
        self.block_bytes = code.mul(self.job["block_vectors"], code.bytes)
        self.out_bytes = code.mul(self.job["blocks"], self.block_bytes)

    def finish(self, out_row: Any, x: Any, block: Any, vector: Any, value: Any) -> None:
        """Add the bias, rectify and write one vector of an output voxel."""
        code, b = self.code, self.code.b
        channel = code.add(code.mul(block, self.block_bytes), code.mul(vector, code.bytes))
        value = code.larger(b.fadd(value, code.load(self.pointer["bias"], channel)), self.floor)
        place = code.at(out_row, code.add(code.mul(x, self.out_bytes), channel))
        code.store(value, b.select(code.within(x, self.job["out_width"]), place, self.spill))

    def input_row(self, out_z: Any, out_y: Any, line: Any) -> tuple[Any, Any]:
        """Whether line `line` of the kernel meets the volume, and the voxel with which that row begins."""
        code, b, job = self.code, self.code.b, self.job
        z = code.sub(code.add(code.mul(out_z, job["stride_z"]), b.sdiv(line, job["kernel_y"])), job["before_z"])
        y = code.sub(code.add(code.mul(out_y, job["stride_y"]), b.srem(line, job["kernel_y"])), job["before_y"])
        inside = b.and_(code.within(z, job["depth"]), code.within(y, job["height"]))
        row = code.add(code.mul(b.srem(z, job["ring"]), job["height"]), y)
        return inside, code.mul(row, job["width"])

    def emit(self, rows: Any, gather: Callable[..., None], multiply: Callable[..., None]) -> None:
        """The loops over units, blocks of voxels and blocks of output channels."""
        code, b, job = self.code, self.code.b, self.job
        last = code.maximum(code.sub(job["out_width"], rows), 0)
        with code.loop(code["start"], code["stop"]) as unit:
            out_z, out_y = b.sdiv(unit, job["out_height"]), b.srem(unit, job["out_height"])
            row = code.add(code.mul(b.srem(out_z, job["out_ring"]), job["out_height"]), out_y)
            out_row = code.at(self.pointer["out"], code.mul(row, job["out_width"], self.out_bytes))
            with code.loop(0, job["out_width"], rows) as x:
                first = code.minimum(x, last)
                gather(out_z, out_y, first)
                with code.loop(0, job["blocks"]) as block:
                    multiply(out_row, first, block)
        b.ret_void()


def emit_gathered(module: ir.Module, name: str, lanes: int, bfloat16: bool) -> None:
    """A convolution of any kernel and stride over whole vectors of channels, as one matrix product.

    Arguments: the description (`DIRECT_FIELDS`), scratch (`gathered_scratch` bytes), the units from and to.
    """
    parts = _Direct(module, name, lanes)
    code, b, job = parts.code, parts.code.b, parts.job
    value_bytes = code.bytes // 2 if bfloat16 else code.bytes
    rows, vectors = job["rows"], job["vectors"]
    lines, taps = code.mul(job["kernel_z"], job["kernel_y"]), job["kernel_x"]
    length = code.mul(lines, taps, vectors)
    left_bytes = code.mul(rows, value_bytes)
    products, left = parts.gathered, code.at(parts.gathered, code.mul(rows, parts.block_bytes))
    product = _product(code, job)

    def gather(out_z: Any, out_y: Any, first: Any) -> None:
        with code.loop(0, lines) as line:
            inside, begin = parts.input_row(out_z, out_y, line)
            with code.loop(0, taps) as tap, code.loop(0, rows) as r:
                x = code.sub(code.add(code.mul(code.add(first, r), job["stride_x"]), tap), job["before_x"])
                known = b.and_(inside, code.within(x, job["width"]))
                source = code.at(parts.pointer["source"], code.mul(code.add(begin, x), vectors, code.bytes))
                position = code.mul(code.add(code.mul(line, taps), tap), vectors)
                target = code.add(code.mul(position, left_bytes), code.mul(r, value_bytes))
                with code.loop(0, vectors) as v:
                    address = b.select(known, code.at(source, code.mul(v, code.bytes)), parts.spill)
                    value = b.select(known, code.load(address), code.zeros())
                    place = code.add(target, code.mul(v, left_bytes))
                    code.store(code.to_bfloat16(value) if bfloat16 else value, left, place)

    def multiply(out_row: Any, first: Any, block: Any) -> None:
        right_bytes = code.mul(job["block_vectors"], lanes * value_bytes)
        weights = code.at(parts.pointer["weights"], code.mul(block, length, right_bytes))
        b.call(product, [left, weights, products, length])
        with code.loop(0, rows) as r, code.loop(0, job["block_vectors"]) as v:
            value = code.load(products, code.add(code.mul(r, parts.block_bytes), code.mul(v, code.bytes)))
            parts.finish(out_row, code.add(first, r), block, v, value)

    parts.emit(rows, gather, multiply)


def gathered_scratch(lanes: int, rows: int, taps: int, vectors: int, block_vectors: int) -> int:
    """Bytes of scratch that such a convolution needs per thread."""
    return SPILL + 4 * lanes * rows * (block_vectors + taps * vectors)


def emit_direct(
    module: ir.Module, name: str, lanes: int, rows: int, vectors: int, channels: int, kernel_x: int, stride_x: int
) -> None:
    """A convolution of any kernel and stride over few channels.

    Arguments: the description (`DIRECT_FIELDS`), scratch (`direct_scratch` bytes), the units from and to.
    """
    parts = _Direct(module, name, lanes)
    code, b, job = parts.code, parts.code.b, parts.job
    voxel_bytes = 4 * channels
    seen = (rows - 1) * stride_x + kernel_x
    lines, length = code.mul(job["kernel_z"], job["kernel_y"]), kernel_x * channels
    copy = module.declare_intrinsic("llvm.memcpy", [POINTER, POINTER, INT])
    clear = module.declare_intrinsic("llvm.memset", [POINTER, INT])
    zero, steady = ir.Constant(ir.IntType(8), 0), ir.Constant(ir.IntType(1), 0)

    def gather(out_z: Any, out_y: Any, first: Any) -> None:
        x = code.sub(code.mul(first, stride_x), job["before_x"])
        left = code.maximum(code.sub(0, x), 0)
        right = code.maximum(code.minimum(code.sub(job["width"], x), seen), left)
        with code.loop(0, lines) as line:
            inside, begin = parts.input_row(out_z, out_y, line)
            target = code.at(parts.gathered, code.mul(line, seen * voxel_bytes))
            with b.if_else(inside) as (yes, no):
                with yes:
                    source = code.at(parts.pointer["source"], code.mul(code.add(begin, x, left), voxel_bytes))
                    b.call(clear, [target, zero, code.mul(left, voxel_bytes), steady])
                    middle = code.at(target, code.mul(left, voxel_bytes))
                    b.call(copy, [middle, source, code.mul(code.sub(right, left), voxel_bytes), steady])
                    rest = code.at(target, code.mul(right, voxel_bytes))
                    b.call(clear, [rest, zero, code.mul(code.sub(seen, right), voxel_bytes), steady])
                with no:
                    b.call(clear, [target, zero, code.number(seen * voxel_bytes), steady])

    def multiply(out_row: Any, first: Any, block: Any) -> None:
        sums = _sums(code, rows, vectors)
        weights = code.at(parts.pointer["weights"], code.mul(block, lines, length, parts.block_bytes))
        with code.loop(0, lines) as line, code.loop(0, length) as step:
            left = code.at(parts.gathered, code.add(code.mul(line, seen * voxel_bytes), code.mul(step, 4)))
            right = code.at(weights, code.mul(code.add(code.mul(line, length), step), vectors * code.bytes))
            _multiply_step(code, sums, left, stride_x * voxel_bytes, right)
        for r in range(rows):
            for v in range(vectors):
                parts.finish(out_row, code.add(first, r), block, v, b.load(sums[r][v]))

    parts.emit(rows, gather, multiply)


def direct_scratch(rows: int, lines: int, channels: int, kernel_x: int, stride_x: int) -> int:
    """Bytes of scratch that such a convolution needs per thread."""
    return SPILL + 4 * lines * ((rows - 1) * stride_x + kernel_x) * channels
