"""What pytorch-3dunet makes of one image with random weights: the data of tests/unit/unet3d/test_parity_golden.py.

Usage, in an environment with Python 3.11, torch 2.13 and pytorch3dunet 1.9.6 (it can be installed with
``--no-deps``)::

    python scripts/oracles/unet3d_golden.py tests/data/unet3d

writes, per order of layers, a checkpoint as upstream's trainer saves it (compressed), and expected.npz with the
image and upstream's outputs in eval mode. ``--f_maps 32 --num_levels 4`` and a folder elsewhere: the same at a
published size.
"""

import argparse
import lzma
from pathlib import Path

import numpy as np
import torch

# With 8 groups, upstream's GroupNorm needs multiples of 8 in all decoders.
F_MAPS = {"gcr": 8, "bcr": 4, "cr": 4}


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--f_maps", type=int, default=0, help="of all models; 0: the least that works")
    parser.add_argument("--num_levels", type=int, default=3)
    parser.add_argument("--shape", type=int, nargs=3, default=(8, 16, 24))
    args = parser.parse_args()
    from pytorch3dunet.unet3d.model import UNet3D  # type: ignore[import-not-found]
    from pytorch3dunet.unet3d.utils import save_checkpoint  # type: ignore[import-not-found]

    generator = torch.Generator().manual_seed(0)
    image = torch.rand((1, 1, *args.shape), generator=generator)
    expected = {"image": image.numpy()}
    for number, order in enumerate(F_MAPS):
        torch.manual_seed(number)
        network = UNet3D(1, 2, f_maps=args.f_maps or F_MAPS[order], num_levels=args.num_levels, layer_order=order)
        for name, value in network.state_dict().items():
            norm = "norm" in name
            if "conv.weight" in name:
                # He's scale: with that of torch, the image is lost on its way through the layers.
                value.mul_(6**0.5 * (2 if name.startswith("final_conv") else 1))
            if norm and name.endswith(("weight", "running_var")):
                value.uniform_(0.5, 1.5)
            elif norm and name.endswith(("bias", "running_mean")):
                value.uniform_(-0.5, 0.5)
            if value.is_floating_point():
                # Short numbers, for a small file.
                value.copy_(value.bfloat16())
        network.eval()
        with torch.no_grad():
            expected[order] = network(image).numpy()
        folder = args.out / order
        args.out.mkdir(parents=True, exist_ok=True)
        # The keys of upstream's trainer; its optimizer's state, of twice the weights' size, is left empty.
        checkpoint = {
            "num_epochs": 1,
            "num_iterations": 1,
            "model_state_dict": network.state_dict(),
            "best_eval_score": np.float64(0.5),
            "optimizer_state_dict": {},
        }
        save_checkpoint(checkpoint, False, str(folder))
        file = folder / "last_checkpoint.pytorch"
        (folder / f"{file.name}.xz").write_bytes(lzma.compress(file.read_bytes()))
        file.unlink()
        print(order, f"outputs from {expected[order].min():.3f} to {expected[order].max():.3f}")
    np.savez_compressed(args.out / "expected.npz", **expected)


if __name__ == "__main__":
    main()
