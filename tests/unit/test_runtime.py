import sys

import numpy as np
import pytest
import torch
from torch import nn

from nucseg import runtime
from nucseg.errors import ENVIRONMENT, USAGE, NucsegError
from nucseg.tiling import plan_tiles


class Net(nn.Module):
    """Two levels, a skip and two heads."""

    divisor = (2, 2, 2)

    def __init__(self, act: nn.Module) -> None:
        super().__init__()
        self.entry = nn.Conv3d(1, 16, 3, padding=1)
        self.low = nn.Conv3d(16, 16, 3, padding=1)
        self.high = nn.Conv3d(32, 16, 3, padding=1)
        self.prob = nn.Conv3d(16, 1, 1)
        self.dist = nn.Conv3d(16, 8, 1)
        self.act = act

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.act(self.entry(x))
        skip = self.act(self.low(x))
        x = self.act(self.low(nn.functional.max_pool3d(skip, 2)))
        x = torch.cat([nn.functional.interpolate(x, scale_factor=2), skip], 1)
        x = self.act(self.high(x))
        return self.prob(x), self.dist(x)


@pytest.fixture
def volume():
    return np.random.default_rng(0).random((1, 1, 6, 14, 20), np.float32)


def make(act: nn.Module) -> Net:
    torch.manual_seed(0)
    return Net(act)


@pytest.mark.parametrize("act", [nn.ReLU(), nn.Softplus()], ids=["relu", "softplus"])
@pytest.mark.parametrize("without", [(), ("openvino",)], ids=["openvino", "torch"])
def test_exact_networks_give_torch_values_and_the_same_bytes_each_time(volume, act, without, monkeypatch):
    for name in without:
        monkeypatch.setitem(sys.modules, name, None)
    with torch.inference_mode():
        wanted = [out.numpy() for out in make(act).double()(torch.from_numpy(volume).double())]
    network = runtime.compile_network(make(act), "cpu", exact=True)
    first = [out.copy() for out in network(volume)]
    second = network(volume)
    for a, b, w in zip(first, second, wanted, strict=True):
        assert a.dtype == np.float32
        assert a.tobytes() == np.ascontiguousarray(b).tobytes()
        np.testing.assert_allclose(a, w, atol=2e-6)


def test_default_precision_is_near_the_exact_values(volume):
    exact = runtime.compile_network(make(nn.ReLU()), "cpu", exact=True)(volume)
    fast = runtime.compile_network(make(nn.ReLU()), "cpu", exact=False)(volume)
    for a, b in zip(exact, fast, strict=True):
        assert np.abs(a - b).max() < 0.02 * np.abs(a).max()


def test_openvino_reports_nothing_to_its_makers():
    runtime.compile_network(make(nn.ReLU()), "cpu", exact=True)
    assert "openvino.tools.ovc.telemetry_stub" in sys.modules
    assert sys.modules["openvino_telemetry"] is None


def test_one_network_takes_any_shape(volume):
    network = runtime.compile_network(make(nn.ReLU()), "cpu", exact=True)
    whole = network(volume)[1].copy()
    part = network(np.ascontiguousarray(volume[..., :12]))[1]
    assert part.shape == (1, 8, 6, 14, 12)
    # All but what sees beyond the cut: 2 voxels at each level
    np.testing.assert_array_equal(part[..., :6], whole[..., :6])


def test_memory_is_told_per_voxel(volume):
    network = runtime.compile_network(make(nn.ReLU()), "cpu", exact=True)
    outputs = sum(out.nbytes for out in network(volume))
    least = outputs / volume.size
    assert least < network.bytes_per_voxel < 40 * least


def test_devices():
    assert runtime.choose_device("cpu") == "cpu"
    assert runtime.choose_device("auto") in ("cpu", "cuda")
    with pytest.raises(NucsegError) as caught:
        runtime.choose_device("tpu")
    assert caught.value.exit_code == USAGE


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_asked_for_and_absent_is_an_error_of_the_environment():
    with pytest.raises(NucsegError) as caught:
        runtime.choose_device("cuda")
    assert caught.value.exit_code == ENVIRONMENT
    assert "GPU" in caught.value.cause
    assert "--device cpu" in caught.value.hint


@pytest.mark.parametrize(
    ("message", "cause", "hint"),
    [
        ("The NVIDIA driver on your system is too old (found version 11040).", "too old", "update the NVIDIA driver"),
        ("CUDA error: no kernel image is available for execution on the device", "no code for its model", "compute"),
        ("CUDA out of memory.", "another program", "nvidia-smi"),
        ("Found no NVIDIA driver on your system.", "no GPU is visible", "--gpus all"),
    ],
)
def test_the_reason_why_a_gpu_does_not_work_is_told(message, cause, hint, monkeypatch):
    def fails(*args, **kwargs):
        raise RuntimeError(message)

    monkeypatch.setattr(torch.version, "cuda", "12.6")
    monkeypatch.setattr(torch.cuda, "device_count", fails)
    assert runtime.choose_device("auto") == "cpu"
    with pytest.raises(NucsegError) as caught:
        runtime.choose_device("cuda")
    assert cause in caught.value.cause
    assert hint in caught.value.hint


@pytest.mark.parametrize("memory", [2e9, 2e10, 1e12])
def test_tiles_fit_the_memory_and_cover_the_volume(memory, monkeypatch):
    monkeypatch.setattr(runtime, "available_memory", lambda device: int(memory))
    shape, multiple, halo = (256, 1024, 1024), (4, 8, 8), (26, 46, 46)
    tile = runtime.tile_shape(shape, 200.0, multiple, halo, "cpu")
    assert all(t % m == 0 for t, m in zip(tile, multiple, strict=True))
    for planned in plan_tiles(shape, tile, halo, multiple):
        size = np.prod([s.stop - s.start for s in planned.read])
        assert 200 * size <= min(0.4 * memory, 2.5e9)


def test_tiles_stay_the_same_when_the_free_memory_differs_a_little(monkeypatch):
    tiles = set()
    for memory in np.linspace(3.2e9, 6e9, 20):
        monkeypatch.setattr(runtime, "available_memory", lambda device, memory=memory: int(memory))
        tiles.add(runtime.tile_shape((256, 1024, 1024), 200.0, (4, 8, 8), (26, 46, 46), "cpu"))
    assert len(tiles) == 1


def test_memory_that_torch_keeps_on_a_gpu_counts_as_free(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (1000, 9000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 500)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 200)
    assert runtime.available_memory("cuda") == 1300


def test_a_volume_that_fits_is_one_tile(monkeypatch):
    monkeypatch.setattr(runtime, "available_memory", lambda device: 10**10)
    assert runtime.tile_shape((50, 99, 101), 200.0, (4, 8, 8), (26, 46, 46), "cpu") == (52, 104, 104)


def test_tiles_are_as_small_as_can_be_when_memory_is_short(monkeypatch):
    monkeypatch.setattr(runtime, "available_memory", lambda device: 10**6)
    tile = runtime.tile_shape((64, 512, 512), 200.0, (4, 8, 8), (26, 46, 46), "cpu")
    assert len(plan_tiles((64, 512, 512), tile, (26, 46, 46), (4, 8, 8))) > 100
