"""A torch module -> a list of convolutions, each with what follows it: bias, sum, relu, pooling."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.nn import functional

Triple = tuple[int, int, int]

NO_STRIDE: Triple = (1, 1, 1)


class UnsupportedNetworkError(Exception):
    """The module does something that there is no kernel for."""


@dataclass(eq=False)
class Value:
    """An array of the network.

    Attributes
    ----------
    channels : int
        Its channels, without padding.
    scale : tuple of int
        Voxels of the network's input per voxel, ZYX.
    is_input : bool
        Whether it is the network's input, whose channels are as they come.
    """

    channels: int
    scale: Triple
    is_input: bool = False


@dataclass(frozen=True)
class Source:
    """A value as a convolution reads it: upsampled by 2 along the axes with 1 in `shift`."""

    value: Value
    shift: Triple = (0, 0, 0)


@dataclass(eq=False)
class Convolution:
    """One step of a network.

    Attributes
    ----------
    sources : list of Source
        Read as if concatenated.
    weight, bias : numpy.ndarray
        (out, in, Z, Y, X) and (out,), float32.
    stride, before : tuple of int
        Step, and zeros in front of each axis.
    out, pooled : Value
        The result, and the result after max-pooling by `pool`, if it is wanted.
    residual : Value, optional
        Added before the activation.
    relu : bool
        Whether negative results become 0.
    """

    sources: list[Source]
    weight: np.ndarray
    bias: np.ndarray
    stride: Triple
    before: Triple
    out: Value
    relu: bool = False
    residual: Value | None = None
    pooled: Value | None = None
    pool: Triple | None = None

    @property
    def minimal(self) -> bool:
        """Whether minimal filtering applies: 3x3x3, stride 1, and whole vectors of channels to sum over."""
        return (
            self.weight.shape[2:] == (3, 3, 3)
            and self.stride == NO_STRIDE
            and self.before == (1, 1, 1)
            and not self.sources[0].value.is_input
        )

    @property
    def reads(self) -> list[Value]:
        """Every value it needs."""
        return [s.value for s in self.sources] + ([] if self.residual is None else [self.residual])


@dataclass
class Plan:
    """A network as convolutions in order."""

    input: Value
    steps: list[Convolution]
    outputs: list[Value]


@dataclass
class _Padded:
    """A value with zeros around it, for the convolution that follows."""

    source: Source
    before: Triple
    after: Triple


@dataclass
class _Lowering:
    """Walks over the graph of a module."""

    module: nn.Module
    steps: list[Convolution] = field(default_factory=list)
    known: dict[fx.Node, Any] = field(default_factory=dict)

    def passes(self, node: fx.Node) -> bool:
        """Whether a node hands on its input as it is."""
        if node.op != "call_module":
            return False
        return isinstance(self.module.get_submodule(str(node.target)), (nn.Identity, nn.Dropout))

    def uses(self, node: fx.Node) -> int:
        """How many nodes need the result of `node`."""
        while self.passes(node):
            node = node.all_input_nodes[0]
        users, count = list(node.users), 0
        while users:
            user = users.pop()
            if self.passes(user):
                users += user.users
            else:
                count += 1
        return count

    def convolution(self, node: fx.Node) -> Value:
        x, weight, bias, stride, padding, dilation, groups = _arguments(
            node, ("input", "weight", "bias", "stride", "padding", "dilation", "groups"), (None, 1, 0, 1, 1)
        )
        if _triple(dilation) != (1, 1, 1) or groups != 1:
            raise UnsupportedNetworkError("dilated or grouped convolution")
        before = after = _triple(padding)
        sources = self.known[x]
        if isinstance(sources, _Padded):
            if before != (0, 0, 0):
                raise UnsupportedNetworkError("padding twice")
            before, after, sources = sources.before, sources.after, sources.source
        sources = _sources(sources)
        array = self.known[weight]
        scale = _common_scale(sources)
        stride = _triple(stride)
        for k, s, b, a in zip(array.shape[2:], stride, before, after, strict=True):
            # 'Same' padding: with an input of a multiple of the stride, the output has input / stride voxels.
            if b + a != max(k - s, 0):
                raise UnsupportedNetworkError("padding other than 'same'")
        out = Value(array.shape[0], _times(scale, stride))
        zeros = np.zeros(array.shape[0], np.float32)
        step = Convolution(sources, array, zeros if bias is None else self.known[bias], stride, before, out)
        if not step.minimal and (len(sources) > 1 or sources[0].shift != (0, 0, 0)):
            raise UnsupportedNetworkError("concatenation before a convolution other than 3x3x3")
        if len(sources) > 2 or (len(sources) == 2 and sources[1].shift != (0, 0, 0)):
            raise UnsupportedNetworkError("concatenation other than [upsampled, skip]")
        self.steps.append(step)
        return out

    def producer(self, node: fx.Node) -> Convolution:
        """The convolution whose result is `node`, when nothing else has used that result yet."""
        value = self.known[node]
        step = next((s for s in self.steps if s.out is value), None)
        if step is None or self.uses(node) > 1 or step.pooled is not None:
            raise UnsupportedNetworkError("an operation that does not follow a convolution")
        return step

    def relu(self, node: fx.Node) -> Value:
        step = self.producer(node)
        step.relu = True
        return step.out

    def batch_norm(self, node: fx.Node, norm: nn.BatchNorm3d) -> Value:
        step = self.producer(node)
        if step.relu or step.residual is not None or norm.running_var is None or norm.running_mean is None:
            raise UnsupportedNetworkError("batch normalisation after an activation")
        gain = 1.0 / np.sqrt(_array(norm.running_var).astype(np.float64) + norm.eps)
        if norm.affine:
            gain *= _array(norm.weight)
        shift = _array(norm.bias) if norm.affine else 0.0
        step.bias = ((step.bias - _array(norm.running_mean)) * gain + shift).astype(np.float32)
        step.weight = (step.weight * gain[:, None, None, None, None]).astype(np.float32)
        return step.out

    def total(self, a: Any, b: Any) -> Value:
        if not (isinstance(a, fx.Node) and isinstance(b, fx.Node)):
            raise UnsupportedNetworkError("a sum with a number")
        for host, other in ((a, b), (b, a)):
            step = next((s for s in self.steps if s.out is self.known[host]), None)
            alone = self.uses(host) == 1 and isinstance(self.known[other], Value)
            if step is not None and alone and step.minimal and not step.relu and step.residual is None:
                # Last, so that what is added to it is there.
                self.steps.remove(step)
                self.steps.append(step)
                step.residual = self.known[other]
                return step.out
        raise UnsupportedNetworkError("a sum without a 3x3x3 convolution")

    def max_pool(self, node: fx.Node, kernel: Triple, stride: Triple) -> Value:
        value = self.known[node]
        step = next((s for s in self.steps if s.out is value), None)
        if step is None or not step.minimal or step.pooled is not None:
            raise UnsupportedNetworkError("pooling that does not follow a 3x3x3 convolution")
        if stride != kernel or kernel not in ((1, 2, 2), (2, 2, 2)):
            raise UnsupportedNetworkError("pooling other than by 2")
        step.pool, step.pooled = kernel, Value(value.channels, _times(value.scale, kernel))
        return step.pooled

    def upsample(self, node: fx.Node, like: Any, factor: Any) -> Source:
        value = self.known[node]
        if not isinstance(value, Value):
            raise UnsupportedNetworkError("upsampling twice")
        if factor is None:
            scale = self.known[like]
            factor = [v / s for v, s in zip(value.scale, scale, strict=True)]
        shift = _triple([int(math.log2(f)) if f in (1, 2) else -1 for f in _triple(factor)])
        if min(shift) < 0:
            raise UnsupportedNetworkError("upsampling other than by 2")
        return Source(value, shift)

    def visit(self, node: fx.Node) -> Any:
        target: Any = node.target
        if node.op == "get_attr":
            return _array(operator.attrgetter(target)(self.module))
        called = self.module.get_submodule(target) if node.op == "call_module" else target
        first: Any = node.args[0] if node.args else None
        if called is torch.conv3d or called is functional.conv3d:
            return self.convolution(node)
        if called in (functional.relu, torch.relu) or isinstance(called, nn.ReLU):
            return self.relu(first)
        if isinstance(called, nn.BatchNorm3d):
            return self.batch_norm(first, called)
        if self.passes(node):
            return self.known[first]
        if called in (operator.add, torch.add):
            return self.total(*node.args[:2])
        if isinstance(called, nn.MaxPool3d):
            return self.max_pool(first, _triple(called.kernel_size), _triple(called.stride))
        if called is functional.max_pool3d:
            kernel, stride = _arguments(node, ("input", "kernel_size", "stride"), (None,))[1:]
            return self.max_pool(first, _triple(kernel), _triple(stride or kernel))
        if called is functional.interpolate and node.kwargs.get("mode", "nearest") == "nearest":
            return self.upsample(first, node.kwargs.get("size"), node.kwargs.get("scale_factor"))
        if called is functional.pad:
            return _padded(self.known[first], node.args[1])
        if called in (torch.cat, torch.concat) and (node.kwargs.get("dim") or node.args[1]) == 1:
            return [s for part in first for s in _sources(self.known[part])]
        if called is getattr and node.args[1] == "shape":
            return self.known[first].scale
        if called is operator.getitem and node.args[1] == slice(2, None, None):
            return self.known[first]
        raise UnsupportedNetworkError(f"{called}")


class _Tracer(fx.Tracer):
    """Looks into subclasses of convolutions, which pad in their own way."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return super().is_leaf_module(m, module_qualified_name) and not isinstance(m, nn.Conv3d)


def lower(module: nn.Module) -> Plan:
    """Turn a trained module into a plan.

    Parameters
    ----------
    module : torch.nn.Module
        In evaluation mode; maps one tensor to a tuple of tensors.

    Raises
    ------
    UnsupportedNetworkError
        It does something else than convolve, normalise, rectify, add, pool, upsample and concatenate.
    """
    try:
        graph = _Tracer().trace(module)
    except (fx.proxy.TraceError, TypeError, ValueError) as error:
        raise UnsupportedNetworkError(f"the module can't be traced: {error}") from error
    walk = _Lowering(module)
    source: Value | None = None
    for node in graph.nodes:
        if node.op == "placeholder":
            channels = next(p.shape[1] for p in module.parameters() if p.ndim == 5)
            source = walk.known[node] = Value(channels, (1, 1, 1), is_input=True)
        elif node.op == "output":
            outputs = [walk.known[n] for n in node.args[0]]
        else:
            walk.known[node] = walk.visit(node)
    if source is None or any(not any(v is s.out for s in walk.steps) for v in outputs):
        raise UnsupportedNetworkError("an output that is not a convolution's")
    return Plan(source, walk.steps, outputs)


def _arguments(node: fx.Node, names: tuple[str, ...], defaults: tuple[Any, ...]) -> list[Any]:
    """Arguments of a call by name or place; `defaults` are those of the last names."""
    given = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
    given.update(zip(names, node.args, strict=False))
    given.update((k, v) for k, v in node.kwargs.items() if k in names)
    return [given[name] for name in names]


def _sources(value: Any) -> list[Source]:
    """What a convolution reads."""
    if isinstance(value, Value):
        return [Source(value)]
    if isinstance(value, Source):
        return [value]
    if isinstance(value, list):
        return value
    raise UnsupportedNetworkError("padding before something other than a convolution")


def _padded(value: Any, padding: list[int]) -> _Padded:
    """The result of functional.pad, which counts from the last axis."""
    if not isinstance(value, Value) or len(padding) != 6:
        raise UnsupportedNetworkError("padding of this kind")
    x0, x1, y0, y1, z0, z1 = padding
    return _Padded(Source(value), (z0, y0, x0), (z1, y1, x1))


def _common_scale(sources: list[Source]) -> Triple:
    """Scale of all sources after their upsampling."""
    scales = {_triple([v >> s for v, s in zip(source.value.scale, source.shift, strict=True)]) for source in sources}
    if len(scales) != 1:
        raise UnsupportedNetworkError("concatenation of different sizes")
    return scales.pop()


def _times(a: Triple, b: Triple) -> Triple:
    return _triple([x * y for x, y in zip(a, b, strict=True)])


def _triple(value: Any) -> Triple:
    """Three numbers from one or three."""
    if isinstance(value, (int, float)):
        value = (value, value, value)
    z, y, x = value
    return z, y, x


def _array(tensor: Any) -> np.ndarray:
    return tensor.detach().cpu().float().numpy()
