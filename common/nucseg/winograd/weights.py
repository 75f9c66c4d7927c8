"""Weights in the order in which the kernels read them."""

from __future__ import annotations

import numpy as np

from nucseg.winograd.lowering import Convolution

FILTER = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
"""Minimal filtering F(2,3), weight side, along one axis."""


def padded(channels: int, lanes: int) -> int:
    """Channels that an array of the network holds: whole vectors."""
    return -(-channels // lanes) * lanes


def block_vectors(channels_out: int, lanes: int) -> int:
    """Width of the blocks of output channels, in vectors."""
    return 2 if padded(channels_out, lanes) % (2 * lanes) == 0 else 1


def bias_of(step: Convolution, lanes: int) -> np.ndarray:
    """Bias of all output channels that the result holds."""
    bias = np.zeros(padded(len(step.bias), lanes), np.float32)
    bias[: len(step.bias)] = step.bias
    return bias


def winograd_weights(step: Convolution, lanes: int, bfloat16: bool) -> np.ndarray:
    """Transformed weights, (block of outputs, position of 64, input, output in the block).

    With `bfloat16` they are rounded to it and pairs of inputs lie together: uint16, (block, position, pair
    of inputs, output in the block, 2).
    """
    weight = _padded_weight(step, [padded(s.value.channels, lanes) for s in step.sources], lanes)
    transform = FILTER
    weight = np.einsum("az,by,cx,oizyx->abcio", transform, transform, transform, weight, optimize=True)
    channels_in, channels_out = weight.shape[3:]
    width = block_vectors(channels_out, lanes) * lanes
    blocks = weight.reshape(64, channels_in, channels_out // width, width).transpose(2, 0, 1, 3).astype(np.float32)
    return _pairs(blocks) if bfloat16 else np.ascontiguousarray(blocks)


def direct_weights(step: Convolution, channels_in: int, lanes: int, bfloat16: bool) -> np.ndarray:
    """Weights of another convolution, (block of outputs, Z, Y, X, input, output in the block), or in pairs."""
    weight = _padded_weight(step, [channels_in], lanes).astype(np.float32)
    channels_out = weight.shape[0]
    width = block_vectors(channels_out, lanes) * lanes
    blocks = weight.transpose(2, 3, 4, 1, 0).reshape(*weight.shape[2:], channels_in, channels_out // width, width)
    blocks = np.moveaxis(blocks, 4, 0)
    return _pairs(blocks) if bfloat16 else np.ascontiguousarray(blocks)


def _pairs(blocks: np.ndarray) -> np.ndarray:
    """(..., input, output) in bfloat16 with pairs of inputs side by side: (..., pair, output, 2)."""
    *others, channels_in, width = blocks.shape
    return round_to_bfloat16(np.ascontiguousarray(blocks.reshape(*others, channels_in // 2, 2, width).swapaxes(-1, -2)))


def round_to_bfloat16(array: np.ndarray) -> np.ndarray:
    """Nearest bfloat16 (ties to even) of finite float32 numbers, as uint16."""
    bits = array.view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(np.uint16)


def _padded_weight(step: Convolution, channels: list[int], lanes: int) -> np.ndarray:
    """(out, in, Z, Y, X) with zeros for the channels that only fill vectors; float64."""
    total = padded(step.weight.shape[0], lanes)
    weight = np.zeros((total, sum(channels), *step.weight.shape[2:]))
    taken = start = 0
    for source, width in zip(step.sources, channels, strict=True):
        own = source.value.channels
        weight[: len(step.weight), start : start + own] = step.weight[:, taken : taken + own]
        taken, start = taken + own, start + width
    return weight
