"""ba: reprojection errors of bundle adjustment, and their sparse Jacobian.

An observation depends on a camera (rotation 3, centre 3, focal length, principal point 2, radial distortion 2), a point
and a weight. The Jacobian has two rows of 11 + 3 + 1 numbers for each observation, then one number for each weight.
"""

from __future__ import annotations

import numpy as np

from bench.gradbench.task import Task
from lilith import jacobian, jit, vmap

CAMERA, POINT = 11, 3


def rotate(rotation, x):
    """Rodrigues' formula; about an angle of zero, its first two terms."""
    square = np.sum(rotation**2)
    turns = square > 0.0
    angle = np.sqrt(np.where(turns, square, 1.0))
    axis = rotation / angle
    turned = x * np.cos(angle) + np.cross(axis, x) * np.sin(angle) + axis * (axis @ x) * (1.0 - np.cos(angle))
    return np.where(turns, turned, x + np.cross(rotation, x))


def reprojection(camera, point, weight, feature):
    x = rotate(camera[:3], point - camera[3:6])
    flat = x[:2] / x[2]
    square = np.sum(flat**2)
    distorted = flat * (1.0 + camera[9] * square + camera[10] * square**2)
    return weight * (distorted * camera[6] + camera[7:9] - feature)


def weight_error(weight):
    return 1.0 - weight**2


def objective(cameras, points, weights, observed, features):
    camera, point = observed[:, 0], observed[:, 1]
    return vmap(reprojection)(cameras[camera], points[point], weights, features), weight_error(weights)


def sparse_jacobian(cameras, points, weights, observed, features):
    """Row starts, columns and values of the Jacobian as a compressed sparse row matrix."""
    camera, point, p = observed[:, 0], observed[:, 1], len(weights)
    block = vmap(lambda *args: jacobian(reprojection, *args, wrt=(0, 1, 2)))
    by_camera, by_point, by_weight = block(cameras[camera], points[point], weights, features)
    slope = vmap(lambda w: jacobian(weight_error, w))(weights)
    values = np.concatenate([by_camera, by_point, by_weight[..., None]], axis=2)
    first_point = CAMERA * len(cameras)
    weight_columns = first_point + POINT * len(points) + np.arange(p)
    columns = np.concatenate(
        [
            CAMERA * camera[:, None] + np.arange(CAMERA),
            first_point + POINT * point[:, None] + np.arange(POINT),
            weight_columns[:, None],
        ],
        axis=1,
    )
    width = columns.shape[1]
    rows = np.concatenate([width * np.arange(2 * p + 1), 2 * width * p + 1 + np.arange(p)])
    twice = np.repeat(columns[:, None], 2, axis=1)
    return rows, np.concatenate([twice.ravel(), weight_columns]), np.concatenate([values.ravel(), slope])


def prepare(given):
    n, m, p = given["n"], given["m"], given["p"]
    observed = np.stack([np.arange(p) % n, np.arange(p) % m], axis=1)
    cameras, points = np.tile(np.array(given["cam"], np.float64), (n, 1)), np.tile(np.array(given["x"]), (m, 1))
    return cameras, points, np.full(p, float(given["w"])), observed, np.tile(np.array(given["feat"]), (p, 1))


def errors(result):
    reprojected, weights = result
    return {
        "reproj_error": {"elements": reprojected[0].tolist(), "repeated": len(reprojected)},
        "w_err": {"element": float(weights[0]), "repeated": len(weights)},
    }


def entries(result):
    """The first 30 entries and the last one of each list."""
    return {name: [*x[:30].tolist(), x[-1].item()] for name, x in zip(("rows", "cols", "vals"), result, strict=True)}


TASKS = {
    "objective": Task(prepare, jit(objective), errors),
    "jacobian": Task(prepare, jit(sparse_jacobian), entries),
}
