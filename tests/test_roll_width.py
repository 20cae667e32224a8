"""Rolling where many derivatives are taken at once: rows that XLA would fuse away are not written for so many."""

from __future__ import annotations

import numpy as np
import pytest

import lilith
from lilith.asked import Spec
from lilith.captures import scan
from lilith.derive import derive
from lilith.mapping import axes_key
from lilith.transform.roll import Columns, roll


def test_rows_that_would_be_fused_stay_unrolled_under_many_tangents(monkeypatch: pytest.MonkeyPatch) -> None:
    def terms(w, x):
        total = 0.0
        for i in range(40):
            total = total + np.tanh(x * w[i]) * w[i] * x
        return total

    def collected(w, x):
        parts = [np.tanh(x * w[i]) * w[i] * x for i in range(40)]
        return np.sum(np.stack(parts) ** 2, axis=0)

    monkeypatch.setattr(lilith.config, "roll", False)
    w, large, small = np.linspace(0.0, 1.0, 40), np.ones(10_000), np.ones(20)
    for f, x in ((terms, large), (terms, small), (collected, large)):
        graph = lilith.trace(f, w, x)
        alone, columns = (roll(graph, columns=Columns(n))[1] for n in (1, 40))
        assert [r.copies for r in alone] == [40]
        fusible = f is terms and x is large  # np.stack writes its rows in any case
        assert columns == (() if fusible else alone)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("selects", [False, True])
def test_jacobians_and_maps_say_how_wide_they_are(wide: bool, selects: bool) -> None:
    def f(w, x):
        total = 0.0
        for i in range(40):
            total = total + np.tanh(np.maximum(x * w[i], 0.1) if selects else x * w[i]) * w[i] * x
        return np.sum(total.reshape(10, -1), axis=1)

    w, x = np.linspace(0.0, 1.0, 40), np.linspace(-1.0, 1.0, 10_000 if wide else 20)
    forward = Spec(True, 0, mode="jacobian", options="forward")
    backward = Spec(True, 1, mode="jacobian", options="reverse")
    mapped = Spec(False, mode="vmap", options=(axes_key("in_axes", (0, None)), axes_key("out_axes", 0)))

    def rolled(spec: Spec, first: np.ndarray) -> bool:
        return len(derive(f, spec, (first, x), {}, scan(f)).rolled) == 1

    for spec in (forward, backward):  # sums of products are contracted, if no zeros have to be kept
        assert rolled(spec, w) == (not wide or not selects)
    assert rolled(mapped, np.stack([w] * 40)) == (not wide)
    of_weights = Spec(True, 0, mode="jacobian", options="reverse")  # what all copies read has no cotangents
    assert rolled(of_weights, w)
    assert rolled(Spec(False), w)
