"""What upstream's QCANet makes of one image with random weights: the data of tests/unit/qcanet/test_parity_golden.py.

Usage, in an environment with Python 3.11, numpy 1.23.5, scipy and chainer 7.8.1, where QCANET is a
checkout of github.com/funalab/QCANet::

    python scripts/oracles/qcanet_golden.py QCANET tests/data/qcanet

writes learned_nsn.npz and learned_ndn.npz, as chainer saves them, and expected.npz. With ``--nsn_base 16
--ndn_base 12 --every 1`` and a folder elsewhere, the same for networks of the published size.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("qcanet", type=Path, help="checkout of upstream")
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--nsn_base", type=int, default=2)
    parser.add_argument("--ndn_base", type=int, default=1)
    parser.add_argument("--shape", type=int, nargs=3, default=(32, 16, 48))
    parser.add_argument("--every", type=int, default=5, help="planes between two that are kept; odd, to see all phases")
    args = parser.parse_args()
    sys.path.insert(0, str(args.qcanet))
    import chainer  # type: ignore[import-not-found]
    from src.lib.model import Model_L2, Model_L4  # type: ignore[import-not-found]

    rng = np.random.default_rng(4)
    image = rng.integers(0, 256, args.shape, dtype=np.uint8)
    expected = {"image": image, "every": np.array(args.every)}
    args.out.mkdir(parents=True, exist_ok=True)
    networks = {
        "nsn": Model_L2(init_channel=args.nsn_base, kernel_size=3),
        "ndn": Model_L4(init_channel=args.ndn_base, kernel_size=5),
    }
    for name, network in networks.items():
        randomise(network, rng)
        chainer.serializers.save_npz(args.out / f"learned_{name}.npz", network)
        # In training mode chainer normalises by the patch, which is how upstream infers.
        for mode, train in (("running", False), ("patch", True)):
            with chainer.using_config("train", train), chainer.no_backprop_mode():
                scores = network._calc(image[None, None].astype(np.float32) / 255).array
            expected[f"{name}_{mode}"] = (scores[0, 1] - scores[0, 0])[:: args.every]
    np.savez_compressed(args.out / "expected.npz", **expected)


def randomise(network: Any, rng: np.random.Generator) -> None:
    """Give all parameters and statistics random values, of which large arrays have only three: they compress."""
    for path, parameter in network.namedparams():
        large = parameter.size > 1000
        steps = rng.integers(-1, 2, parameter.shape) * 1.22 if large else rng.standard_normal(parameter.shape)
        if path.endswith("/W"):
            steps = steps * np.sqrt(2 / np.prod(parameter.shape[1:]))
        elif path.endswith("/gamma"):
            steps = 1 + steps / 4
        else:
            # above zero, lest a network of few channels dies in its ReLUs
            steps = 0.5 + steps / 4
        parameter.array[...] = steps
    for link in network.children():
        if hasattr(link, "avg_var"):
            link.avg_mean[...] = rng.standard_normal(link.avg_mean.shape) / 4
            link.avg_var[...] = rng.uniform(0.5, 2, link.avg_var.shape)
            link.N = 7


if __name__ == "__main__":
    main()
