"""Plain arrays made in the function and assigned traced values, by way of NumPy's functions, against NumPy."""

import numpy as np

import lilith
from lilith.testing import check_grads


def test_functions_that_give_views_of_plain_arrays_share_their_memory():
    def f(x):
        a, b, c, d, e = np.zeros(4), np.zeros((1, 4)), np.zeros((2, 4)), np.zeros((4, 4)), np.zeros(4)
        np.asarray(a)[1] = x[0]
        np.atleast_2d(a)[0, 2] = x[1]
        np.squeeze(b)[1] = x[2]
        np.swapaxes(c, 0, 1)[3] = x[:2]
        np.einsum("ii->i", d)[:] = x
        np.ravel(np.transpose(e))[2] = x[3]
        return np.sum(a * x[1] + b * x + e) + np.sum(c * x**2) + np.sum(d * x[:, None])

    x = np.array([0.5, -1.0, 2.0, 0.25])
    assert np.isclose(lilith.jit(f)(x), f(x))
    check_grads(f, (x,), order=1)


def test_functions_and_methods_that_write_into_plain_arrays():
    def f(x):
        a, b, c, d = np.zeros(4), np.ones((4, 4)), np.zeros(4), np.zeros(4)
        np.add.at(a, [1, 2, 1], x[:3])
        np.fill_diagonal(b, x[0])
        c.fill(x[1])
        d.put([3, 0], x[2:])
        return np.sum(a * x + b * x[3] + c * d)

    x = np.array([0.5, -1.0, 2.0, 0.25])
    assert np.isclose(lilith.jit(f)(x), f(x))
    check_grads(f, (x,), order=1)
