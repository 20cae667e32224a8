"""Geometry: reprojection errors of bundle adjustment, a kinematic chain, determinants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from bench.comparison.workload import FUNCTION, JACOBIAN, Size, Workload, add, normal

# ---- bundle adjustment ---------------------------------------------------------------------------------------------


def bundle_adjustment(np: Any, kit: Any) -> Callable[..., Any]:
    """The Jacobian's blocks: of each observation's two residuals by its camera, point and weight. A camera is rotation
    vector, centre, focal length, principal point and two distortions, as in ADBench."""

    def residual(unknowns, seen):
        camera, point, weight = unknowns[:11], unknowns[11:14], unknowns[14]
        rotation, centre = camera[:3], camera[3:6]
        theta = np.sqrt(np.sum(rotation * rotation) + 1e-12)
        w = rotation / theta
        v = point - centre
        moved = v * np.cos(theta) + np.cross(w, v) * np.sin(theta) + w * (np.sum(w * v) * (1.0 - np.cos(theta)))
        p = moved[:2] / moved[2]
        r = np.sum(p * p)
        distorted = p * (1.0 + camera[9] * r + camera[10] * r * r)
        return weight * (camera[6] * distorted + camera[7:9] - seen)

    def blocks(cameras, points, weights, which_camera, which_point, seen):
        unknowns = np.concatenate([cameras[which_camera], points[which_point], weights[:, None]], axis=1)
        return kit.vmap(kit.jacobian(residual, 0, False), (0, 0))(unknowns, seen)

    return blocks


def bundle_adjustment_torch(torch: Any, kit: Any) -> Callable[..., Any]:
    def residual(unknowns, seen):
        camera, point, weight = unknowns[:11], unknowns[11:14], unknowns[14]
        rotation, centre = camera[:3], camera[3:6]
        theta = torch.sqrt(torch.sum(rotation * rotation) + 1e-12)
        w = rotation / theta
        v = point - centre
        cross = torch.linalg.cross(w, v)
        moved = v * torch.cos(theta) + cross * torch.sin(theta) + w * (torch.sum(w * v) * (1.0 - torch.cos(theta)))
        p = moved[:2] / moved[2]
        r = torch.sum(p * p)
        distorted = p * (1.0 + camera[9] * r + camera[10] * r * r)
        return weight * (camera[6] * distorted + camera[7:9] - seen)

    def blocks(cameras, points, weights, which_camera, which_point, seen):
        unknowns = torch.cat([cameras[which_camera], points[which_point], weights[:, None]], dim=1)
        return kit.vmap(kit.jacobian(residual, 0, False), (0, 0))(unknowns, seen)

    return blocks


def _bundle_arguments(cameras: int, points: int, observations: int) -> Callable[..., Any]:
    def arguments(rng: Any) -> tuple[Any, ...]:
        camera = numpy.concatenate(
            [
                normal(rng, cameras, 3, scale=0.3),
                normal(rng, cameras, 3, scale=0.1) - [0.0, 0.0, 5.0],
                1.0 + normal(rng, cameras, 1, scale=0.1),
                normal(rng, cameras, 4, scale=0.01),
            ],
            axis=1,
        )
        return (
            camera,
            normal(rng, points, 3),
            1.0 + normal(rng, observations, scale=0.1),
            rng.integers(0, cameras, observations),
            rng.integers(0, points, observations),
            normal(rng, observations, 2),
        )

    return arguments


add(
    Workload(
        "bundle-adjustment",
        "blocks of the Jacobian of reprojection errors: vmap of a Jacobian over the observations",
        bundle_adjustment,
        (
            Size("30 observations", _bundle_arguments(3, 10, 30)),
            Size("30,000 observations", _bundle_arguments(50, 5000, 30_000)),
        ),
        kind=FUNCTION,
        torch=bundle_adjustment_torch,
    )
)


# ---- kinematic chain -----------------------------------------------------------------------------------------------


def chain(np: Any, kit: Any) -> Callable[..., Any]:
    """Points that hang on the links of a chain, as in hand tracking: each link turns by its angles against the link
    before it; a point is moved by the links that it has weights for, and compared with where it was seen."""

    def turned(a):
        c, s = np.cos(a), np.sin(a)
        one, none = 1.0 + 0.0 * a[0], 0.0 * a[0]
        about_x = np.stack([np.stack([one, none, none]), np.stack([none, c[0], -s[0]]), np.stack([none, s[0], c[0]])])
        about_z = np.stack([np.stack([c[1], -s[1], none]), np.stack([s[1], c[1], none]), np.stack([none, none, one])])
        return about_x @ about_z

    def residuals(angles, offsets, weights, points, seen):
        rotation, place = turned(angles[0]), offsets[0]
        moved = []
        for i in range(angles.shape[0]):
            if i:
                place = place + rotation @ offsets[i]
                rotation = rotation @ turned(angles[i])
            moved.append((points @ rotation.T + place) * weights[:, i : i + 1])
        return np.reshape(sum(moved) - seen, (-1,))

    return residuals


def chain_torch(torch: Any, kit: Any) -> Callable[..., Any]:
    def turned(a):
        c, s = torch.cos(a), torch.sin(a)
        one, none = 1.0 + 0.0 * a[0], 0.0 * a[0]
        stack = torch.stack
        about_x = stack([stack([one, none, none]), stack([none, c[0], -s[0]]), stack([none, s[0], c[0]])])
        about_z = stack([stack([c[1], -s[1], none]), stack([s[1], c[1], none]), stack([none, none, one])])
        return about_x @ about_z

    def residuals(angles, offsets, weights, points, seen):
        rotation, place = turned(angles[0]), offsets[0]
        moved = []
        for i in range(angles.shape[0]):
            if i:
                place = place + rotation @ offsets[i]
                rotation = rotation @ turned(angles[i])
            moved.append((points @ rotation.T + place) * weights[:, i : i + 1])
        return torch.reshape(sum(moved) - seen, (-1,))

    return residuals


def _chain_arguments(links: int, points: int) -> Callable[..., Any]:
    def arguments(rng: Any) -> tuple[Any, ...]:
        weights = rng.random((points, links))
        return (
            normal(rng, links, 2, scale=0.5),
            normal(rng, links, 3),
            weights / weights.sum(axis=1, keepdims=True),
            normal(rng, points, 3),
            normal(rng, points, 3),
        )

    return arguments


add(
    Workload(
        "hand-tracking",
        "dense Jacobian of points that hang on a kinematic chain, by its angles",
        chain,
        (
            Size("3 links, 5 points", _chain_arguments(3, 5)),
            Size("13 links, 500 points", _chain_arguments(13, 500)),
            Size("13 links, 10,000 points", _chain_arguments(13, 10_000)),
        ),
        kind=JACOBIAN,
        torch=chain_torch,
        forward=True,
    )
)


# ---- determinant by minors -----------------------------------------------------------------------------------------


def determinant(np: Any, kit: Any) -> Callable[..., Any]:
    """By expansion: all minors of the last j rows at once, an array over their sets of columns."""

    def by_minors(a):
        n = a.shape[0]
        below = np.ones(1)
        for j in range(1, n + 1):
            columns, rest, signs = expansion(n, j)
            below = np.sum(kit.constant(signs) * a[n - j][columns] * below[rest], axis=1)
        return below[0]

    return by_minors


def determinant_torch(torch: Any, kit: Any) -> Callable[..., Any]:
    def by_minors(a):
        n = a.shape[0]
        below = torch.ones(1, dtype=a.dtype)
        for j in range(1, n + 1):
            columns, rest, signs = expansion(n, j)
            below = torch.sum(kit.constant(signs) * a[n - j][columns] * below[rest], dim=1)
        return below[0]

    return by_minors


def expansion(n: int, j: int) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """For every set of j of n columns (in order): its columns, the sets without each of them, the signs."""
    import itertools

    places = {s: i for i, s in enumerate(itertools.combinations(range(n), j - 1))}
    sets = list(itertools.combinations(range(n), j))
    rest = [[places[s[:k] + s[k + 1 :]] for k in range(j)] for s in sets]
    return numpy.array(sets), numpy.array(rest), (-1.0) ** numpy.arange(j)


def determinant_by_hand(a: Any) -> Any:
    value = numpy.linalg.det(a)
    return value, (value * numpy.linalg.inv(a).T,)


add(
    Workload(
        "determinant",
        "determinant by minors, all those of one height at once (by hand: value times the inverse)",
        determinant,
        tuple(Size(f"{n}x{n}", lambda rng, n=n: (normal(rng, n, n),)) for n in (3, 6, 12)),  # type: ignore[misc]
        torch=determinant_torch,
        by_hand=determinant_by_hand,
    )
)
