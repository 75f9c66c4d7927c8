"""Which input voxels an output voxel depends on, along one axis, worked out backwards layer by layer.

An interval is (first, last), inclusive, in voxels of the layer's output; each function returns the
interval of the layer's input. Torch is not needed, so a tile plan can be made without it.
"""

Interval = tuple[int, int]


def through_conv(needed: Interval, kernel: int, stride: int = 1) -> Interval:
    """Input interval of a 'same' convolution (TensorFlow's: the odd voxel of padding comes last)."""
    before = max(kernel - stride, 0) // 2
    return needed[0] * stride - before, needed[1] * stride - before + kernel - 1


def through_pooling(needed: Interval, pool: int) -> Interval:
    """Input interval of a max-pooling whose window is its stride."""
    return needed[0] * pool, needed[1] * pool + pool - 1


def through_upsampling(needed: Interval, factor: int) -> Interval:
    """Input interval of a nearest-neighbour upsampling."""
    return needed[0] // factor, needed[1] // factor


def union(a: Interval, b: Interval) -> Interval:
    """Smallest interval that holds both."""
    return min(a[0], b[0]), max(a[1], b[1])


def through_convs(needed: Interval, kernel: int, count: int) -> Interval:
    """Input interval of `count` convolutions of stride 1 in a row."""
    for _ in range(count):
        needed = through_conv(needed, kernel)
    return needed


def through_unet(needed: Interval, kernel: int, depth: int, convs: int, pool: int) -> Interval:
    """Input interval of `nucseg.networks.unet.UNet`: the skip and the lower path together."""
    if depth == 0:
        return through_convs(needed, kernel, convs)
    needed = through_convs(needed, kernel, convs)
    below = through_upsampling(needed, pool)
    below = through_unet(below, kernel, depth - 1, convs, pool)
    return through_convs(union(needed, through_pooling(below, pool)), kernel, convs)


def through_residual_block(needed: Interval, kernel: int, convs: int, stride: int) -> Interval:
    """Input interval of `nucseg.networks.blocks.ResidualBlock`."""
    inner = through_conv(through_convs(needed, kernel, convs - 1), kernel, stride)
    return union(inner, through_conv(needed, 1, stride))
