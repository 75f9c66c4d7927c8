"""The random-weight models of the parity comparison, and the image that they segment."""

from typing import Any

import numpy as np

SHAPE = (17, 27, 205)
"""Not a multiple of anything, so that padding is compared too; long, so that it can be cut into tiles."""

RESNET = {"backbone": "resnet", "resnet_n_filter_base": 4, "net_conv_after_resnet": 8}
UNET = {"backbone": "unet", "unet_n_filter_base": 4, "net_conv_after_unet": 8}

# name -> (seed, Keras 2 layout, radius of the nuclei, arguments of Config3D)
CASES: dict[str, tuple[int, bool, float, dict[str, Any]]] = {
    "unet_anisotropic": (1, False, 5, {**UNET, "rays": 32, "grid": (1, 2, 2), "anisotropy": (2, 1, 1)}),
    "unet_batchnorm_pool122": (2, True, 5, {**UNET, "rays": 32, "unet_batch_norm": True, "unet_pool": (1, 2, 2)}),
    "unet_depth3_classes": (3, False, 6, {**UNET, "rays": 24, "grid": (2, 2, 2), "unet_n_depth": 3, "n_classes": 2}),
    "unet_two_channels_bare": (
        4,
        True,
        5,
        {**UNET, "rays": 32, "n_channel_in": 2, "grid": (1, 2, 2), "net_conv_after_unet": 0},
    ),
    "unet_grid124_batchnorm": (
        5,
        False,
        6,
        {**UNET, "rays": 24, "grid": (1, 2, 4), "unet_n_depth": 1, "unet_batch_norm": True, "unet_n_conv_per_depth": 3},
    ),
    "unet_elu_expansion": (
        6,
        False,
        5,
        {**UNET, "rays": 24, "unet_activation": "elu", "unet_last_activation": "elu", "unet_expansion": 1.5},
    ),
    "resnet_anisotropic": (7, True, 5, {**RESNET, "rays": 32, "grid": (1, 2, 2), "anisotropy": (2, 1, 1)}),
    "resnet_batchnorm_grid244": (
        8,
        False,
        8,
        {**RESNET, "rays": 24, "grid": (2, 4, 4), "resnet_batch_norm": True, "resnet_n_filter_base": 3},
    ),
    "resnet_classes_two_channels": (
        9,
        False,
        6,
        {**RESNET, "rays": 32, "grid": (2, 2, 2), "n_classes": 3, "n_channel_in": 2, "resnet_n_blocks": 2},
    ),
    "resnet_bare_two_convs": (
        10,
        True,
        5,
        {
            **RESNET,
            "rays": 24,
            "resnet_n_blocks": 3,
            "resnet_n_conv_per_block": 2,
            "net_conv_after_resnet": 0,
            "resnet_batch_norm": True,
        },
    ),
}

THRESHOLDS = [(0.6, 0.4), (0.7, 0.2)]


def make_image(channels: int) -> np.ndarray:
    """A smooth random image, float32 (Z, Y, X) or (Z, Y, X, channels), of the size of normalised intensities."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(0).standard_normal((channels, *SHAPE))
    smooth = [gaussian_filter(n, 2) for n in noise]
    # in steps of 1/32, so that it is kept exactly in a byte per voxel
    image = np.stack([np.round(16 * s / s.std() + 16) / 32 for s in smooth], axis=-1).astype(np.float32)
    return image[..., 0] if channels == 1 else image
