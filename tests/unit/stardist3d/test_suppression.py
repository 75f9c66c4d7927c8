import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from stardist.nms import non_maximum_suppression_3d_sparse
from stardist.rays3d import Rays_Cartesian, Rays_GoldenSpiral

from images.stardist3d import suppression
from images.stardist3d.suppression import suppress
from nucseg.errors import NucsegError

SHAPE = (24, 40, 40)


def crowd(rays, count, seed=0, size=6.0, roughness=0.1):
    """Candidates as of touching nuclei: shapes that vary smoothly in space, with some noise along the rays."""
    rng = np.random.default_rng(seed)
    field = gaussian_filter(rng.standard_normal((len(rays), *SHAPE)), (2, 3, 3, 3))
    field = 1 + 0.25 * field / field.std()
    points = np.unique(rng.integers(0, SHAPE, (count, 3)), axis=0).astype(np.int32)
    noise = 1 + roughness * rng.standard_normal((len(points), len(rays)))
    dist = np.maximum(size * field[:, points[:, 0], points[:, 1], points[:, 2]].T * noise, 1e-3)
    return points, dist.astype(np.float32), rng.random(len(points), np.float32)


def nuclei(rays, count, seed=0, radius=6.0, roughness=0.05):
    """Candidates as a trained network gives them: many in each of some touching balls, most alike."""
    rng = np.random.default_rng(seed)
    centres = np.stack(np.meshgrid(*[np.arange(8, 40, 1.8 * radius)] * 3, indexing="ij"), -1).reshape(-1, 3)
    which = rng.integers(0, len(centres), count)
    points = np.rint(centres[which] + rng.normal(0, radius / 4, (count, 3))).astype(np.int32)
    points, kept = np.unique(points, axis=0, return_index=True)
    offset = points - centres[which[kept]]
    along = offset @ rays.vertices.T
    dist = np.sqrt(np.maximum(along**2 + radius**2 - (offset**2).sum(1)[:, None], 0.01)) - along
    dist *= 1 + roughness * rng.standard_normal(dist.shape)
    prob = 1 - np.linalg.norm(offset, axis=1) / radius / 2 + 0.05 * rng.standard_normal(len(points))
    return points, np.maximum(dist, 1e-3).astype(np.float32), prob.astype(np.float32)


def upstream(points, dist, prob, rays, threshold):
    with suppression.quiet_native_code(), suppression.single_threaded_native_code():
        return non_maximum_suppression_3d_sparse(dist, prob, points, rays, nms_thresh=threshold)[3]


@pytest.mark.parametrize("threshold", [0.1, 0.4])
@pytest.mark.parametrize(("anisotropy", "roughness"), [(None, 0.02), ((2, 1, 1), 0.1), ((1, 1.5, 1), 0.4)])
def test_survivors_are_upstreams(threshold, anisotropy, roughness):
    rays = Rays_GoldenSpiral(32, anisotropy=anisotropy)
    points, dist, prob = crowd(rays, 100, roughness=roughness)
    expected = upstream(points, dist, prob, rays, threshold)
    assert 3 < len(expected) < len(prob)
    np.testing.assert_array_equal(suppress(points, dist, prob, rays, threshold), expected)


def test_survivors_are_upstreams_for_sizes_out_of_the_ordinary():
    rays = Rays_GoldenSpiral(32)
    points, dist, prob = crowd(rays, 100)
    dist[::40] *= 4  # beyond the table of offsets
    dist[1::10] *= 0.1  # smaller than a voxel, and wholly inside of others
    dist[2::50] = 1e-3
    np.testing.assert_array_equal(suppress(points, dist, prob, rays, 0.4), upstream(points, dist, prob, rays, 0.4))


def test_equal_probabilities_are_ordered_as_upstream_orders_them():
    rays = Rays_GoldenSpiral(32)
    points, dist, prob = crowd(rays, 100)
    prob = np.round(prob, 1)
    np.testing.assert_array_equal(suppress(points, dist, prob, rays, 0.4), upstream(points, dist, prob, rays, 0.4))


def test_rays_that_do_not_cover_space_once_are_left_to_upstream():
    rays = Rays_Cartesian(6, 5)
    points, dist, prob = crowd(rays, 60)
    assert suppression.cone_coefficients(rays.vertices, rays.faces) is None
    np.testing.assert_array_equal(suppress(points, dist, prob, rays, 0.4), upstream(points, dist, prob, rays, 0.4))


@pytest.mark.parametrize("roughness", [0.02, 0.15])
def test_nuclei_are_found_with_little_help(roughness):
    rays = Rays_GoldenSpiral(64)
    points, dist, prob = nuclei(rays, 600, roughness=roughness)
    np.testing.assert_array_equal(suppress(points, dist, prob, rays, 0.4), upstream(points, dist, prob, rays, 0.4))
    order = np.argsort(prob)[::-1]
    run = suppression._Suppression(points[order], dist[order], prob[order], rays, 0.4)
    alive = run.run(lambda done, text: None)
    assert 20 < alive.sum() < 40
    assert run.deferred < 0.1 * (~alive).sum()


def test_no_candidates_and_one():
    rays = Rays_GoldenSpiral(32)
    points, dist, prob = crowd(rays, 5)
    assert suppress(points[:0], dist[:0], prob[:0], rays, 0.4).tolist() == []
    assert suppress(points[:1], dist[:1], prob[:1], rays, 0.4).tolist() == [0]


def test_hours_of_suppression_are_refused_unless_there_are_many_candidates(monkeypatch):
    monkeypatch.setattr(suppression, "LOOK_SECONDS", -1.0)
    monkeypatch.setattr(suppression, "FIRST_LOOK", -1.0)
    monkeypatch.setattr(suppression, "PATIENCE", 0.0)
    rays = Rays_GoldenSpiral(32)
    monkeypatch.setattr(suppression, "PATIENCE_PER_CANDIDATE", 1e6)
    assert len(suppress(*crowd(rays, 100), rays, 0.4))
    monkeypatch.setattr(suppression, "PATIENCE_PER_CANDIDATE", 0.0)
    with pytest.raises(NucsegError, match="hours"):
        suppress(*crowd(rays, 100), rays, 0.4)
