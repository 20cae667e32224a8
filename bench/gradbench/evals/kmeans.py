"""kmeans: the sum of squared distances from points to their nearest centroid, and Newton's direction for it.

The Hessian is diagonal, so that its product with ones is that diagonal; the direction is gradient / diagonal.
"""

from __future__ import annotations

import numpy as np

from bench.gradbench.task import Task, arrays, listed
from lilith import grad, jit, jvp


def cost(points, centroids):
    squares = np.sum(points**2, axis=1)[:, None] + np.sum(centroids**2, axis=1)
    return np.sum(np.min(squares - 2.0 * points @ centroids.T, axis=1))


def direction(points, centroids):
    def slope(centroids):
        return grad(cost, points, centroids, wrt="centroids")[1]["centroids"]

    gradient, diagonal = jvp(slope, (centroids,), (np.ones_like(centroids),))
    return gradient / diagonal


given = arrays("points", "centroids")
TASKS = {"cost": Task(given, jit(cost), float), "dir": Task(given, jit(direction), listed)}
