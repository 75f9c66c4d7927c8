"""Writing and compiling machine code: a thin layer over llvmlite (which numba brings)."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from llvmlite import binding, ir

INT = ir.IntType(64)
FLOAT = ir.FloatType()
POINTER = ir.IntType(8).as_pointer()


@dataclass(frozen=True)
class Processor:
    """What the kernels need to know of the processor.

    Attributes
    ----------
    lanes : int
        Float32 numbers in a vector register.
    rows : tuple of int
        Heights of the blocks of a matrix product whose sums, two registers wide, stay in registers.
    bfloat16 : bool
        Whether it multiplies bfloat16.
    """

    lanes: int
    rows: tuple[int, ...]
    bfloat16: bool


@cache
def processor() -> Processor | None:
    """The processor this process runs on; None when the kernels don't know its kind."""
    if not binding.get_process_triple().startswith("x86_64"):
        return None
    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        return Processor(16, (4, 6, 8, 11, 13), bool(features.get("avx512bf16")))
    if features.get("avx2") and features.get("fma"):
        return Processor(8, (4, 5, 6), False)
    return None


class _Named(ir.types.Type):
    """A type that llvmlite has no class for, by its name in LLVM."""

    def __init__(self, name: str) -> None:
        self.name = name

    def _to_string(self) -> str:
        return self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Named) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


class Code:
    """One function under construction: whole-number arithmetic, loops and vectors.

    Parameters
    ----------
    module : llvmlite.ir.Module
    name : str
    arguments : sequence of str
        All are 64 bits wide; those that begin with "p_" are pointers.
    lanes : int
        Width of a vector.
    """

    def __init__(self, module: ir.Module, name: str, arguments: Sequence[str], lanes: int) -> None:
        types = [POINTER if a.startswith("p_") else INT for a in arguments]
        self.module = module
        self.function = ir.Function(module, ir.FunctionType(ir.VoidType(), types), name)
        self.b = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.arguments = dict(zip(arguments, self.function.args, strict=True))
        self.lanes = lanes
        self.vector = ir.VectorType(FLOAT, lanes)
        self.bytes = 4 * lanes

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    @staticmethod
    def number(value: Any) -> Any:
        """A constant, if `value` is a Python number."""
        return ir.Constant(INT, value) if isinstance(value, int) else value

    def slots(self, kind: Any, count: int = 1) -> Any:
        """Memory of the function for `count` values."""
        with self.b.goto_entry_block():
            return self.b.alloca(kind, count)

    @contextmanager
    def loop(self, start: Any, stop: Any, step: Any = 1) -> Iterator[Any]:
        """For index from `start` to below `stop`."""
        b = self.b
        index = self.slots(INT)
        b.store(self.number(start), index)
        head, body, end = (b.append_basic_block(name) for name in ("head", "body", "end"))
        b.branch(head)
        b.position_at_end(head)
        value = b.load(index)
        b.cbranch(b.icmp_signed("<", value, self.number(stop)), body, end)
        b.position_at_end(body)
        yield value
        b.store(self.add(value, step), index)
        b.branch(head)
        b.position_at_end(end)

    def add(self, first: Any, *others: Any) -> Any:
        """Sum of whole numbers."""
        total = self.number(first)
        for other in others:
            total = self.b.add(total, self.number(other))
        return total

    def sub(self, a: Any, b: Any) -> Any:
        """Difference of whole numbers."""
        return self.b.sub(self.number(a), self.number(b))

    def mul(self, first: Any, *others: Any) -> Any:
        """Product of whole numbers."""
        product = self.number(first)
        for other in others:
            product = self.b.mul(product, self.number(other))
        return product

    def minimum(self, a: Any, b: Any) -> Any:
        """The smaller of two whole numbers."""
        a, b = self.number(a), self.number(b)
        return self.b.select(self.b.icmp_signed("<", a, b), a, b)

    def maximum(self, a: Any, b: Any) -> Any:
        """The larger of two whole numbers."""
        a, b = self.number(a), self.number(b)
        return self.b.select(self.b.icmp_signed(">", a, b), a, b)

    def within(self, index: Any, size: Any) -> Any:
        """Whether 0 <= index < size."""
        return self.b.icmp_unsigned("<", self.number(index), self.number(size))

    def at(self, pointer: Any, offset: Any) -> Any:
        """`pointer` moved by bytes."""
        return self.b.gep(pointer, [self.number(offset)])

    def load(self, pointer: Any, offset: Any = 0, kind: Any = None) -> Any:
        """The vector at `pointer` plus `offset` bytes, or a value of type `kind`."""
        kind = kind or self.vector
        value = self.b.load(self.b.bitcast(self.at(pointer, offset), kind.as_pointer()))
        value.align = 4
        return value

    def store(self, value: Any, pointer: Any, offset: Any = 0) -> None:
        """Write at `pointer` plus `offset` bytes."""
        stored = self.b.store(value, self.b.bitcast(self.at(pointer, offset), value.type.as_pointer()))
        stored.align = 4

    def zeros(self) -> Any:
        """A vector of zeros."""
        return ir.Constant(self.vector, [0.0] * self.lanes)

    def spread(self, value: Any) -> Any:
        """A vector with `value` in each lane."""
        kind = ir.VectorType(value.type, self.lanes)
        nothing = ir.Constant(kind, ir.Undefined)
        one = self.b.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.b.shuffle_vector(one, nothing, lanes)

    def larger(self, a: Any, b: Any) -> Any:
        """Element-wise maximum of vectors; what is not a number in `a` stays."""
        return self.b.select(self.b.fcmp_ordered(">", b, a), b, a)

    def multiply_add(self, a: Any, b: Any, total: Any) -> Any:
        """a * b + total, rounded once."""
        return self.call(f"llvm.fma.v{self.lanes}f32", self.vector, [a, b, total])

    def multiply_add_pairs(self, a: Any, b: Any, total: Any) -> Any:
        """Total plus the products of the two bfloat16 numbers in each lane of `a` and `b`."""
        pairs = _Named(f"<{2 * self.lanes} x bfloat>")
        a, b = (self.b.bitcast(v, pairs) for v in (a, b))
        return self.call("llvm.x86.avx512bf16.dpbf16ps.512", self.vector, [total, a, b])

    def to_bfloat16(self, value: Any) -> Any:
        """A vector rounded to bfloat16, as whole numbers of 16 bits."""
        half = _Named(f"<{self.lanes} x bfloat>")
        rounded = self.call("llvm.x86.avx512bf16.cvtneps2bf16.512", half, [value])
        return self.b.bitcast(rounded, ir.VectorType(ir.IntType(16), self.lanes))

    def call(self, name: str, result: Any, values: Sequence[Any]) -> Any:
        """Call an intrinsic of LLVM."""
        known = self.module.globals.get(name)
        if known is None:
            known = ir.Function(self.module, ir.FunctionType(result, [v.type for v in values]), name)
        return self.b.call(known, values)


class Library:
    """Compiled functions, to be called with whole numbers and addresses; they run without Python's lock.

    Parameters
    ----------
    module : llvmlite.ir.Module
        Whose functions return nothing.
    """

    def __init__(self, module: ir.Module) -> None:
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        # Processors that can do 512 bits are told to prefer 256 by default; these kernels gain by 512.
        features = binding.get_host_cpu_features().flatten() + ",-prefer-256-bit"
        target = binding.Target.from_default_triple()
        self._machine = target.create_target_machine(cpu=binding.get_host_cpu_name(), features=features, opt=3)
        parsed = binding.parse_assembly(str(module))
        parsed.verify()
        tuning = binding.create_pipeline_tuning_options(speed_level=2)
        tuning.loop_vectorization = tuning.slp_vectorization = tuning.loop_unrolling = False
        builder = binding.create_pass_builder(self._machine, tuning)
        builder.getModulePassManager().run(parsed, builder)
        self._engine = binding.create_mcjit_compiler(parsed, self._machine)
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Where a function lies."""
        return int(self._engine.get_function_address(name))

    def function(self, name: str, count: int) -> Any:
        """A function of `count` arguments, callable from Python."""
        return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * count)(self.address(name))
