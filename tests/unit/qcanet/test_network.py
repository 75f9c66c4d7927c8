import numpy as np
import pytest
import torch

from images.qcanet.network import BN_MODES, QCANet, config_of_state
from nucseg.errors import USAGE, NucsegError
from nucseg.runtime import compile_network

SMALL = {"nsn_base": 2, "nsn_kernel": 3, "nsn_levels": 1, "ndn_base": 3, "ndn_kernel": 5, "ndn_levels": 2}


def small(bn_mode: str) -> QCANet:
    """A network in evaluation mode whose averages of the training are not those of any patch."""
    torch.manual_seed(0)
    network = QCANet(**SMALL, bn_mode=bn_mode)
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm3d):
            torch.nn.init.uniform_(part.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(part.running_var, 0.5, 2)
    return network.eval()


def test_sizes_are_the_published_ones():
    with torch.device("meta"):
        network = QCANet()
    counts = [sum(p.numel() for p in net.parameters()) for net in (network.nsn, network.ndn)]
    assert counts == [1_147_618, 44_450_498]
    assert (network.divisor, network.halo) == ((16, 16, 16), (24, 24, 24))


@pytest.mark.parametrize("bn_mode", BN_MODES)
def test_published_size_runs_on_the_smallest_patch(bn_mode):
    with torch.inference_mode():
        outputs = QCANet(bn_mode=bn_mode).eval()(torch.rand(1, 1, 16, 16, 16))
    assert [tuple(output.shape) for output in outputs] == [(1, 1, 16, 16, 16)] * 2
    assert all(torch.isfinite(output).all() for output in outputs)


def test_logit_is_the_decision_of_softmax():
    network, x = small("running"), torch.rand(1, 1, 8, 8, 8)
    scores = []
    network.nsn.head.register_forward_hook(lambda _module, _input, output: scores.append(output))
    with torch.inference_mode():
        logit = network(x)[0]
    torch.testing.assert_close(torch.sigmoid(logit), torch.softmax(scores[0], 1)[:, 1:])


def test_patch_mode_knows_no_other_patch():
    network, x = small("patch"), torch.rand(2, 1, 8, 8, 8)
    with torch.inference_mode():
        together = network(x)
        for i in range(2):
            alone = network(x[i : i + 1])
            for a, b in zip(alone, together, strict=True):
                torch.testing.assert_close(a, b[i : i + 1], rtol=1e-4, atol=1e-4)


def test_patch_mode_normalises_one_patch_as_training_does():
    network, x = small("patch"), torch.rand(1, 1, 8, 8, 8)
    with torch.inference_mode():
        evaluated, trained = network(x), network.train()(x)
    for a, b in zip(evaluated, trained, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_modes_differ_and_share_their_weights():
    running, patch, x = small("running"), small("patch"), torch.rand(1, 1, 8, 8, 8)
    patch.load_state_dict(running.state_dict(), strict=True)
    with torch.inference_mode():
        for a, b in zip(running(x), patch(x), strict=True):
            assert (a - b).abs().max() > 0.1


@pytest.mark.parametrize("bn_mode", BN_MODES)
def test_compiled_network_is_the_same_at_another_shape(bn_mode):
    network, x = small(bn_mode), torch.rand(1, 1, 12, 4, 8)
    with torch.inference_mode():
        wanted = network(x)
    for a, b in zip(compile_network(network, "cpu", exact=True)(x.numpy()), wanted, strict=True):
        np.testing.assert_allclose(a, b.numpy(), rtol=0, atol=1e-4 * float(b.abs().max()))


def test_sizes_are_told_by_the_weights():
    assert config_of_state(QCANet(**SMALL).state_dict()) == SMALL


def test_gradients_reach_all_parameters():
    network = QCANet(**SMALL).train()
    sum(output.square().mean() for output in network(torch.rand(1, 1, 8, 8, 8))).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_unknown_mode_is_refused():
    with pytest.raises(NucsegError, match="bn_mode 'batch'") as caught:
        QCANet(**SMALL, bn_mode="batch")
    assert caught.value.exit_code == USAGE
