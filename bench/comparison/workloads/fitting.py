"""Fitting: mixtures of Gaussians, k-means, least squares with a polynomial."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from bench.comparison.workload import FUNCTION, Size, Workload, add, normal

# ---- mixture of Gaussians ------------------------------------------------------------------------------------------


def gmm(np: Any, kit: Any) -> Callable[..., Any]:
    """The posterior's logarithm without its constants: inverse covariances are Q'Q, Q lower triangular with the
    diagonal exp(q) and the elements `lower` under it; a Wishart prior with m = 0, gamma = 1."""

    def gmm_loss(alphas, means, q, lower, x):
        d = x.shape[1]
        diagonal = np.exp(q)
        rows, columns = numpy.tril_indices(d, -1)
        spread = numpy.zeros((rows.size, d, d))
        spread[numpy.arange(rows.size), rows, columns] = 1.0
        L = np.einsum("kl,lij->kij", lower, kit.constant(spread))
        centred = x[:, None, :] - means[None, :, :]
        y = diagonal[None, :, :] * centred + np.einsum("kij,nkj->nki", L, centred)
        terms = alphas + np.sum(q, axis=1) - 0.5 * np.sum(y * y, axis=2)
        top = np.max(terms, axis=1, keepdims=True)
        likelihood = np.sum(np.log(np.sum(np.exp(terms - top), axis=1)) + top[:, 0])
        largest = np.max(alphas)
        normaliser = np.log(np.sum(np.exp(alphas - largest))) + largest
        prior = 0.5 * (np.sum(diagonal**2) + np.sum(lower**2))
        return likelihood - x.shape[0] * normaliser + prior

    return gmm_loss


def gmm_torch(torch: Any, kit: Any) -> Callable[..., Any]:
    def gmm_loss(alphas, means, q, lower, x):
        d = x.shape[1]
        diagonal = torch.exp(q)
        rows, columns = numpy.tril_indices(d, -1)
        spread = numpy.zeros((rows.size, d, d))
        spread[numpy.arange(rows.size), rows, columns] = 1.0
        L = torch.einsum("kl,lij->kij", lower, kit.constant(spread))
        centred = x[:, None, :] - means[None, :, :]
        y = diagonal[None, :, :] * centred + torch.einsum("kij,nkj->nki", L, centred)
        terms = alphas + torch.sum(q, dim=1) - 0.5 * torch.sum(y * y, dim=2)
        top = torch.amax(terms, dim=1, keepdim=True)
        likelihood = torch.sum(torch.log(torch.sum(torch.exp(terms - top), dim=1)) + top[:, 0])
        largest = torch.max(alphas)
        normaliser = torch.log(torch.sum(torch.exp(alphas - largest))) + largest
        prior = 0.5 * (torch.sum(diagonal**2) + torch.sum(lower**2))
        return likelihood - x.shape[0] * normaliser + prior

    return gmm_loss


def _gmm_arguments(n: int, d: int, k: int) -> Callable[..., Any]:
    return lambda rng: (
        normal(rng, k),
        normal(rng, k, d),
        normal(rng, k, d, scale=0.3),
        normal(rng, k, d * (d - 1) // 2, scale=0.3),
        normal(rng, n, d),
    )


add(
    Workload(
        "gmm",
        "log posterior of a mixture of Gaussians with full covariances",
        gmm,
        (
            Size("10 points, d=2, k=3", _gmm_arguments(10, 2, 3)),
            Size("1000 points, d=10, k=25", _gmm_arguments(1000, 10, 25)),
            Size("1000 points, d=32, k=50", _gmm_arguments(1000, 32, 50)),
        ),
        wrt=(0, 1, 2, 3),
        torch=gmm_torch,
    )
)


# ---- k-means -------------------------------------------------------------------------------------------------------


def kmeans(np: Any, kit: Any) -> Callable[..., Any]:
    """Gradient and the Hessian's diagonal: points do not mix coordinates nor centres, so that the Hessian is diagonal
    and its product with ones is the diagonal."""

    def kmeans_derivatives(points, centres):
        def cost(centres):
            a = np.sum(points * points, axis=1)[:, None]
            b = np.sum(centres * centres, axis=1)[None, :]
            distances = a + b - 2.0 * points @ centres.T
            return np.sum(np.min(distances, axis=1))

        return kit.gradient_and_hvp(cost, centres, np.ones_like(centres))

    return kmeans_derivatives


def kmeans_torch(torch: Any, kit: Any) -> Callable[..., Any]:
    def kmeans_derivatives(points, centres):
        def cost(centres):
            a = torch.sum(points * points, dim=1)[:, None]
            b = torch.sum(centres * centres, dim=1)[None, :]
            distances = a + b - 2.0 * points @ centres.T
            return torch.sum(torch.amin(distances, dim=1))

        return kit.gradient_and_hvp(cost, centres, torch.ones_like(centres))

    return kmeans_derivatives


def kmeans_by_hand(points: Any, centres: Any) -> Any:
    distances = (centres * centres).sum(axis=1) - 2.0 * points @ centres.T
    nearest = distances.argmin(axis=1)
    count = numpy.bincount(nearest, minlength=len(centres))
    total = numpy.zeros_like(centres)
    numpy.add.at(total, nearest, points)
    gradient = 2 * (count[:, None] * centres - total)
    return gradient, numpy.repeat(2.0 * count[:, None], centres.shape[1], axis=1)


def _kmeans_arguments(k: int, n: int, d: int) -> Callable[..., Any]:
    return lambda rng: (normal(rng, n, d), normal(rng, k, d))


add(
    Workload(
        "kmeans",
        "k-means cost: gradient by the centres, and the Hessian's diagonal by its product with ones",
        kmeans,
        (
            Size("5 of 20x3", _kmeans_arguments(5, 20, 3)),
            Size("10 of 10,000x16", _kmeans_arguments(10, 10_000, 16)),
            Size("1000 of 10,000x16", _kmeans_arguments(1000, 10_000, 16)),
        ),
        kind=FUNCTION,
        torch=kmeans_torch,
        by_hand=kmeans_by_hand,
    )
)


# ---- least squares with a polynomial ---------------------------------------------------------------------------------


def llsq(np: Any, kit: Any) -> Callable[..., Any]:
    """Half the squared distance of a polynomial's values at n points from the sign of the points; powers by cumprod."""

    def llsq_loss(x, points):
        powers = np.cumprod(np.repeat(points[:, None], x.shape[0] - 1, axis=1), axis=1)
        values = x[0] + np.sum(powers * x[1:], axis=1)
        return 0.5 * np.sum((np.sign(points) - values) ** 2)

    return llsq_loss


def llsq_torch(torch: Any, kit: Any) -> Callable[..., Any]:
    def llsq_loss(x, points):
        powers = torch.cumprod(torch.repeat_interleave(points[:, None], x.shape[0] - 1, dim=1), dim=1)
        values = x[0] + torch.sum(powers * x[1:], dim=1)
        return 0.5 * torch.sum((torch.sign(points) - values) ** 2)

    return llsq_loss


def llsq_by_hand(x: Any, points: Any) -> Any:
    powers = numpy.vander(points, len(x), increasing=True)
    residuals = powers @ x - numpy.sign(points)
    return 0.5 * residuals @ residuals, (powers.T @ residuals,)


def _llsq_arguments(n: int, m: int) -> Callable[..., Any]:
    return lambda rng: (normal(rng, m), numpy.linspace(-1.0, 1.0, n))


add(
    Workload(
        "least-squares",
        "least squares of a polynomial's values, its powers by cumprod",
        llsq,
        (
            Size("16 points, 4 powers", _llsq_arguments(16, 4)),
            Size("1024 points, 128 powers", _llsq_arguments(1024, 128)),
            Size("16,384 points, 128 powers", _llsq_arguments(16_384, 128)),
        ),
        torch=llsq_torch,
        by_hand=llsq_by_hand,
    )
)
