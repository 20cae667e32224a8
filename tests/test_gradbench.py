"""The GradBench tool: its protocol, and every eval against jax, finite differences or known results."""

from __future__ import annotations

import io
import itertools
import json
import math
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from bench.gradbench import protocol  # noqa: E402
from bench.gradbench.protocol import MODULES, answer, serve, tasks  # noqa: E402
from bench.gradbench.task import Task  # noqa: E402

random = np.random.default_rng(0)


def run(module, function, given):
    """The output of one evaluation."""
    message = {"id": 0, "kind": "evaluate", "module": module, "function": function}
    result = answer(message | {"input": given}, {})
    assert result["success"], result["error"]
    json.dumps(result)
    return result["output"]


def close(output, expected, tolerance=1e-9):
    """As GradBench compares: relative to 1 at least; its own tolerance is 1e-4."""
    expected = np.asarray(expected)
    assert np.shape(output) == expected.shape
    difference = np.abs(np.asarray(output) - expected) / np.maximum(np.abs(output) + np.abs(expected), 1.0)
    assert np.all(difference <= tolerance)


def complex_step(f, x, step=1e-20):
    """The Jacobian of an analytic f written in NumPy: Im f(x + i h e) / h, exact to rounding."""
    return np.stack([np.imag(f(x + 1j * step * e)) / step for e in np.eye(len(x))], axis=-1)


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


# ---- protocol --------------------------------------------------------------------------------------------------------


def session(*messages):
    answers = io.StringIO()
    lines = [json.dumps({"id": i} | m) + "\n" for i, m in enumerate(messages)]
    serve(lines, answers, {"multithreaded": True})
    found = [json.loads(line) for line in answers.getvalue().splitlines()]
    assert [a["id"] for a in found] == list(range(len(messages)))
    return found


def test_a_session(monkeypatch):
    def broken(x):
        raise ValueError("no such luck")

    monkeypatch.setitem(tasks("hello"), "broken", Task(lambda given: (given,), broken, float))
    lse = {"kind": "evaluate", "module": "lse", "function": "primal"}
    start, defined, value, unknown, many, long, error, missing, analysis = session(
        {"kind": "start", "eval": "hello"},
        {"kind": "define", "module": "hello"},
        {"kind": "evaluate", "module": "hello", "function": "square", "input": 3.0, "description": "3"},
        {"kind": "define", "module": "os"},
        lse | {"input": {"x": [1.0, 2.0], "min_runs": 5, "min_seconds": 0}},
        lse | {"input": {"x": [1.0, 2.0], "min_runs": 1, "min_seconds": 0.02}},
        {"kind": "evaluate", "module": "hello", "function": "broken", "input": 1.0},
        {"kind": "evaluate", "module": "hello", "function": "cube", "input": 1.0},
        {"kind": "analysis", "of": 2, "valid": False, "error": "Expected tau."},
    )
    assert start["tool"] == "lilith" and start["config"]["multithreaded"]
    assert defined["success"] and value["success"] and value["output"] == 9.0
    assert not unknown["success"] and "'os'" in unknown["error"]
    for timings in (many["timings"], long["timings"]):
        assert all(isinstance(t["nanoseconds"], int) for t in timings)
        compiled, *evaluations, total = timings
        assert compiled["name"] == "compile" and total["name"] == "total"
        assert {t["name"] for t in evaluations} == {"evaluate"}
        assert total["nanoseconds"] == sum(t["nanoseconds"] for t in timings[:-1])
    assert len(many["timings"]) == 5 + 2
    assert sum(t["nanoseconds"] for t in long["timings"] if t["name"] == "evaluate") >= 0.02e9
    assert not error["success"] and "ValueError: no such luck" in error["error"]
    assert not missing["success"] and "cube" in missing["error"]
    assert analysis == {"id": 8}


def test_as_a_process():
    start = {"id": 7, "kind": "start"}
    evaluate = {"id": 8, "kind": "evaluate", "module": "hello", "function": "double", "input": 2}
    done = subprocess.run(
        [sys.executable, "-m", "bench.gradbench", "--multithreaded"],
        input=json.dumps(start) + "\n" + json.dumps(evaluate) + "\n",
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
    )
    first, second = [json.loads(line) for line in done.stdout.splitlines()]
    assert first["id"] == 7 and second["id"] == 8 and second["output"] == 4.0


def test_every_module_is_defined():
    for module in MODULES:
        assert answer({"id": 1, "kind": "define", "module": module}, {}) == {"id": 1, "success": True}


def test_only_the_function_is_timed():
    """Pre- and post-processing happen once, however often the function runs."""
    calls = []
    task = Task(lambda x: (calls.append("prepare"), (x["x"],))[1], lambda x: calls.append("run"), calls.append)
    protocol.evaluate(task, {"x": 1, "min_runs": 3, "min_seconds": 0})
    assert calls == ["prepare", "run", "run", "run", "run", None]


# ---- evals -----------------------------------------------------------------------------------------------------------


def test_hello():
    assert (run("hello", "square", 3.0), run("hello", "double", 3.0)) == (9.0, 6.0)


def test_lse():
    x = random.uniform(-100, 100, 50)
    close(run("lse", "primal", {"x": x.tolist()}), jax.nn.logsumexp(x))
    close(run("lse", "gradient", {"x": x.tolist()}), jax.nn.softmax(x))


def test_llsq():
    n, x = 16, random.random(6)

    def cost(x):
        t = -1 + 2 * jnp.arange(n) / (n - 1)
        return 0.5 * jnp.sum((jnp.sign(t) - sum(x[j] * t**j for j in range(len(x)))) ** 2)

    given = {"x": x.tolist(), "n": n}
    close(run("llsq", "primal", given), cost(x))
    close(run("llsq", "gradient", given), jax.grad(cost)(x))


def test_ode():
    n, s, x = 5, 3, random.random(5)

    def solve(x):
        def slope(y):
            return jnp.stack([x[0], *[x[i] * y[i - 1] for i in range(1, n)]])

        y, h = jnp.zeros(n), 2 / s
        for _ in range(s):
            k1 = slope(y)
            k2 = slope(y + h * k1 / 2)
            k3 = slope(y + h * k2 / 2)
            k4 = slope(y + h * k3)
            y = y + h * (k1 + 2 * k2 + 2 * k3 + k4) / 6
        return y

    close(run("ode", "primal", {"x": x.tolist(), "s": s}), solve(x))
    close(run("ode", "gradient", {"x": x.tolist(), "s": s}), jax.grad(lambda x: solve(x)[-1])(x))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_det(n):
    A = random.random((n, n))
    given = {"A": A.ravel().tolist(), "ell": n}
    close(run("det", "primal", given), np.linalg.det(A))
    close(run("det", "gradient", given), (np.linalg.det(A) * np.linalg.inv(A).T).ravel())


def test_kmeans():
    points, centroids = random.random((40, 3)), random.random((4, 3))

    def cost(centroids):
        return jnp.sum(jnp.min(jnp.sum((points[:, None] - centroids) ** 2, axis=2), axis=1))

    given = {"points": points.tolist(), "centroids": centroids.tolist()}
    close(run("kmeans", "cost", given), cost(centroids))
    diagonal = jnp.diag(jax.hessian(cost)(centroids).reshape(12, 12)).reshape(4, 3)
    close(run("kmeans", "dir", given), jax.grad(cost)(centroids) / diagonal)


@pytest.mark.parametrize("d", [1, 3])
def test_gmm(d):
    """Against the densities of the definition, written out."""
    k, n, m, gamma = 2, 4, 1, 0.7
    x = random.normal(size=(n, d))
    shapes = {"alpha": (k,), "mu": (k, d), "q": (k, d), "l": (k, d * (d - 1) // 2)}
    independent = {name: random.normal(size=shape) for name, shape in shapes.items()}

    def objective(p):
        weights, precisions = jnp.exp(p["alpha"]) / jnp.sum(jnp.exp(p["alpha"])), []
        for q, below in zip(p["q"], p["l"], strict=True):
            Q, entries = jnp.diag(jnp.exp(q)), iter(below)
            for j in range(d):
                for i in range(j + 1, d):
                    Q = Q.at[i, j].set(next(entries))
            precisions.append(Q.T @ Q)
        total = 0.0
        for point in x:
            density = 0.0
            for weight, mu, S in zip(weights, p["mu"], precisions, strict=True):
                factor = jnp.sqrt(jnp.linalg.det(S) / (2 * np.pi) ** d)
                density += weight * factor * jnp.exp(-0.5 * (point - mu) @ S @ (point - mu))
            total += jnp.log(density)
        f = d + m + 1
        multigamma = d * (d - 1) / 4 * np.log(np.pi) + sum(math.lgamma((f - j) / 2) for j in range(d))
        for S in precisions:
            total += m / 2 * jnp.log(jnp.linalg.det(S)) - 0.5 * gamma**2 * jnp.trace(S)
            total -= f * d / 2 * np.log(2) - f * d * np.log(gamma) + multigamma
        return total

    given = {name: value.tolist() for name, value in independent.items()}
    given |= {"d": d, "k": k, "n": n, "m": m, "gamma": gamma, "x": x.tolist()}
    close(run("gmm", "objective", given), objective(independent))
    output, expected = run("gmm", "jacobian", given), jax.grad(objective)(independent)
    assert set(output) == set(expected)
    for name, g in expected.items():
        close(np.reshape(output[name], shapes[name]), g)


def test_lstm():
    layers, bits, steps = 2, 3, 5
    main, extra = random.random((2 * layers, 4 * bits)), random.random((3, bits))
    state, sequence = random.random((2 * layers, bits)), np.round(random.random((steps, bits)))

    def objective(main, extra):
        sigmoid, s, total = jax.nn.sigmoid, jnp.asarray(state), 0.0
        for x, target in itertools.pairwise(sequence):
            x = x * extra[0]
            for i in range(layers):
                (wf, wi, wo, wc), (bf, bi, bo, bc) = main[2 * i].reshape(4, -1), main[2 * i + 1].reshape(4, -1)
                h, c = s[2 * i], s[2 * i + 1]
                c = c * sigmoid(x * wf + bf) + sigmoid(h * wi + bi) * jnp.tanh(h * wc + bc)
                h = sigmoid(x * wo + bo) * jnp.tanh(c)
                x, s = h, s.at[2 * i].set(h).at[2 * i + 1].set(c)
            y = x * extra[1] + extra[2]
            total += jnp.sum(target * (y - jnp.log(jnp.sum(jnp.exp(y)) + 2)))
        return -total / (bits * (steps - 1))

    names = ("main_params", "extra_params", "state", "sequence")
    given = {name: value.tolist() for name, value in zip(names, (main, extra, state, sequence), strict=True)}
    close(run("lstm", "objective", given), objective(main, extra))
    expected = jax.grad(objective, argnums=(0, 1))(main, extra)
    close(run("lstm", "jacobian", given), np.concatenate([g.ravel() for g in expected]))


BA = {
    "n": 3,
    "m": 4,
    "p": 5,
    "cam": [-0.76, -1.11, -0.85, 34.6, 39.7, 53.9, 419.2, 5.9, -8.5, 0.09, 0.003],
    "x": [7.2, 0.001, 3.0],
    "w": 0.42,
    "feat": [271.8, 834.2],
}


def reprojected(v):
    """The residual of one observation of the variables (camera, point, weight), by a rotation matrix."""
    (x, y, z), centre, focal, principal, (k1, k2), point, w = np.split(v, [3, 6, 7, 9, 11, 14])
    R = scipy.linalg.expm(np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]]))
    u = R @ (point - centre)
    u = u[:2] / u[2]
    square = u @ u
    return w * (u * (1 + k1 * square + k2 * square**2) * focal + principal - BA["feat"])


@pytest.mark.parametrize("rotation", [[-0.76, -1.11, -0.85], [0.0, 0.0, 0.0]])
def test_ba(rotation):
    given = BA | {"cam": rotation + BA["cam"][3:]}
    n, m, p, w = 3, 4, 5, BA["w"]
    one = np.array([*given["cam"], *given["x"], w])
    output = run("ba", "objective", given)
    close(output["reproj_error"]["elements"], reprojected(one))
    close(output["w_err"]["element"], 1 - w * w)
    assert output["reproj_error"]["repeated"] == output["w_err"]["repeated"] == p
    sparse = run("ba", "jacobian", given)
    assert sparse["rows"] == [*range(0, 151, 15), 151, 152, 153, 154, 155, 155]
    first = [*range(11), 33, 34, 35, 33 + 12]
    assert sparse["cols"] == [*first, *first, 11 * n + 3 * m + p - 1]
    block = complex_step(reprojected, one)
    close(sparse["vals"], [*block[0].tolist(), *block[1].tolist(), -2 * w])


def hand(complicated, points=7, corners=9, bones=22):
    model = {
        "bone_count": bones,
        "bone_names": [str(i) for i in range(bones)],
        "parents": [-1, 0, *[1 if i % 4 == 2 else i - 1 for i in range(2, bones)]],
        "base_relatives": (np.eye(4) + 0.1 * random.normal(size=(bones, 4, 4))).tolist(),
        "inverse_base_absolutes": (np.eye(4) + 0.1 * random.normal(size=(bones, 4, 4))).tolist(),
        "base_positions": np.column_stack([random.normal(size=(corners, 3)), np.ones(corners)]).tolist(),
        "weights": random.random((corners, bones)).tolist(),
        "triangles": random.integers(0, corners, (6, 3)).tolist(),
        "is_mirrored": complicated,
    }
    return {
        "theta": (0.3 * random.normal(size=26)).tolist(),
        "us": random.random((points, 2)).tolist() if complicated else [],
        "data": {
            "model": model,
            "correspondences": random.integers(0, 6, points).tolist(),
            "points": random.normal(size=(points, 3)).tolist(),
        },
    }


def hand_residuals(theta, us, data):
    """By definition: a matrix for each bone, vertex by vertex."""
    model = {name: np.array(value) for name, value in data["model"].items()}

    def rotation(tx, tz, ty):
        (cx, cy, cz), (sx, sy, sz) = [[f(t) for t in (tx, ty, tz)] for f in (np.cos, np.sin)]
        X = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
        Y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        Z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
        return Z @ Y @ X

    angles = [(0.0, 0.0, 0.0)] * 2
    for i in range(6, 26, 4):
        angles += [(theta[i], theta[i + 1], 0.0), (theta[i + 2], 0.0, 0.0), (theta[i + 3], 0.0, 0.0), (0.0, 0.0, 0.0)]
    absolutes, positions = [], 0.0
    for bone, parent in enumerate(model["parents"]):
        turn = scipy.linalg.block_diag(rotation(*angles[bone]), 1.0)
        relative = model["base_relatives"][bone] @ turn
        absolutes.append(relative if parent < 0 else absolutes[parent] @ relative)
        transform = absolutes[-1] @ model["inverse_base_absolutes"][bone]
        positions = positions + model["weights"][:, bone, None] * (model["base_positions"] @ transform.T)[:, :3]
    x, y, z = theta[:3]
    R = scipy.linalg.expm(np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]))
    sign = np.array([-1.0 if model["is_mirrored"] else 1.0, 1.0, 1.0])
    positions = (positions * sign) @ R.T + theta[3:6]
    found = []
    for i, corner in enumerate(data["correspondences"]):
        if len(us):
            a, b, c = model["triangles"][corner]
            place = us[i][0] * positions[a] + us[i][1] * positions[b] + (1 - us[i][0] - us[i][1]) * positions[c]
        else:
            place = positions[corner]
        found.append(data["points"][i] - place)
    return np.concatenate(found)


@pytest.mark.parametrize("complicated", [False, True])
def test_ht(complicated):
    given = hand(complicated)
    theta, us, data = np.array(given["theta"]), np.array(given["us"]), given["data"]
    close(run("ht", "objective", given), hand_residuals(theta, us, data))
    expected = complex_step(lambda theta: hand_residuals(theta, us, data), theta)
    if complicated:
        whole = complex_step(lambda us: hand_residuals(theta, us.reshape(-1, 2), data), us.ravel())
        own = [whole[3 * i : 3 * i + 3, 2 * i : 2 * i + 2] for i in range(len(us))]
        expected = np.concatenate([np.concatenate(own), expected], axis=1)
    close(run("ht", "jacobian", given), expected)


MODES = ["rr", "rf", "fr", "ff"]


@pytest.mark.parametrize("mode", MODES)
def test_particle(mode):
    """The control parameter that GradBench expects, evals/particle."""
    close(run("particle", mode, {"w": 0.0}), 0.2071918746486116)


@pytest.mark.parametrize("mode", MODES)
def test_saddle(mode):
    """The saddle point is the origin; where the descent stops short of it is what GradBench expects."""
    close(run("saddle", mode, {"start": [1.0, 1.0]}), [8.246324826140356e-06] * 4, 1e-12)
