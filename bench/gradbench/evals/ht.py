"""ht: distances between a posed hand and measured points, and their dense Jacobian.

theta has the hand's rotation (3), its translation (3) and four angles for each of five fingers. With `us`, a
correspondence is a triangle and two of its barycentric coordinates, else a vertex.
"""

from __future__ import annotations

import numpy as np

from bench.gradbench.task import Task, listed
from lilith import jacobian, jit


def euler_rotations(angles):
    """Rz Ry Rx of each row (x, z, y) of angles."""
    (cx, cz, cy), (sx, sz, sy) = np.cos(angles).T, np.sin(angles).T
    rows = [
        [cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz],
        [cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz],
        [-sy, sx * cy, cx * cy],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def axis_rotation(rotation):
    """Rodrigues' formula for a vector along the axis, as long as the angle."""
    square = np.sum(rotation**2)
    turns = square >= 1e-8
    angle = np.sqrt(np.where(turns, square, 1.0))
    x, y, z = rotation / angle
    zero = 0.0 * x
    cross = np.stack([np.stack([zero, -z, y]), np.stack([z, zero, -x]), np.stack([-y, x, zero])])
    turned = np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * (cross @ cross)
    return np.where(turns, turned, np.eye(3))


def bone_angles(theta, bones):
    """Angles (x, z, y) of every bone: two of a finger's first joint, one of its next two, 0 of the others."""
    finger = theta[6:].reshape(5, 4)
    zero = np.zeros(5)
    joints = [[finger[:, 0], finger[:, 1], zero], [finger[:, 2], zero, zero], [finger[:, 3], zero, zero], [zero] * 3]
    fingers = np.stack([np.stack(joint, axis=-1) for joint in joints], axis=1).reshape(20, 3)
    return np.concatenate([np.zeros((2, 3)), fingers])[:bones]


def vertices(theta, model):
    """The posed and skinned vertices, a row each."""
    parents, relatives, inverses, positions, weights, mirrored = model
    turned = relatives[:, :, :3] @ euler_rotations(bone_angles(theta, len(parents)))
    posed = np.concatenate([turned, relatives[:, :, 3:]], axis=2)
    absolutes = []
    for bone, parent in enumerate(parents):
        absolutes.append(posed[bone] if parent < 0 else absolutes[parent] @ posed[bone])
    transforms = (np.stack(absolutes) @ inverses)[:, :3]
    moved = np.einsum("bij,vj,vb->vi", transforms, positions, weights)
    if mirrored:
        moved = moved * np.array([-1.0, 1.0, 1.0])
    return moved @ axis_rotation(theta[:3]).T + theta[3:6]


def objective(theta, us, model, points, corners):
    v = vertices(theta, model)
    if us is None:
        return (points - np.take(v, corners, axis=0)).ravel()
    weights = np.concatenate([us, 1.0 - np.sum(us, axis=1, keepdims=True)], axis=1)
    return (points - np.sum(weights[:, :, None] * np.take(v, corners, axis=0), axis=1)).ravel()


def dense_jacobian(theta, us, model, points, corners):
    """Columns for theta; before them, with us, two for the coordinates of the row's own correspondence.

    No two correspondences share a row, so moving the coordinates of all of them at once gives each row its own.
    """
    if us is None:
        return jacobian(objective, theta, us, model, points, corners)

    def moved(both):
        return objective(both[2:], us + both[:2], model, points, corners)

    return jacobian(moved, np.concatenate([np.zeros(2), theta]))


def prepare(given):
    data = given["data"]
    model = data["model"]
    fields = ("base_relatives", "inverse_base_absolutes", "base_positions", "weights")
    hand = (tuple(model["parents"]), *[np.array(model[name], np.float64) for name in fields], model["is_mirrored"])
    corners = np.array(data["correspondences"])
    us = np.array(given["us"], np.float64) if given["us"] else None
    if us is not None:
        corners = np.array(model["triangles"])[corners]
    return np.array(given["theta"], np.float64), us, hand, np.array(data["points"], np.float64), corners


TASKS = {
    "objective": Task(prepare, jit(objective), listed),
    "jacobian": Task(prepare, jit(dense_jacobian), listed),
}
