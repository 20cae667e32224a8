"""The smallest cut: which values of a loop's body to keep for the way back, and which to compute again.

What the way back reads must come from something kept or be computed again from something kept. Keeping a value costs
its bytes in every step; what is there anyhow (constants, the scanned arrays, the step's number) costs nothing; cheap
operations are computed again at no cost; the carry and the results of expensive operations cannot be computed again.
The cheapest choice is a minimum cut between those and what is read: Ford and Fulkerson 1956; found with the algorithm
of Dinic 1970.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from lilith.ir.graph import Node, Value

PRODUCTS = frozenset({"dot_general", "conv"})

EXPENSIVE = PRODUCTS | frozenset(
    "case scan while_loop reverse_while "  # branches and loops
    "cholesky lu qr eigh svd eig triangular_solve solve slogdet det adjugate adjugate_derivative pinv least_squares "
    "repeatedly_squared matrix_sqrt lyapunov fft argsort searchsorted reduce_window_sum reduce_window_max "
    "linear_recurrence cumsum cumprod cummax cummin "
    "gamma_density gammainc_quotient gammainc gammaincc beta_density betainc_quotient betainc random_gamma".split()
)
"""The names of what is not computed again: products, factorisations, transforms, sorting, running sums, loops."""

SLOW = frozenset(
    "exp expm1 log log1p pow sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh logistic logit erf erfc "
    "erfcx erfinv ndtri lgamma digamma polygamma betaln zeta i0 i1 i0e i1e threefry".split()
)
"""Elementwise functions that take several times as long as reading a number from the cache."""

_MAX_EXHAUSTIVE = 3


class Flow:
    """A network with capacities between numbered places, place 0 the source and 1 the sink."""

    def __init__(self) -> None:
        self.edges: list[list[list]] = [[], []]  # by place: [to, capacity, number of the reverse edge]

    def place(self) -> int:
        """A new place."""
        self.edges.append([])
        return len(self.edges) - 1

    def join(self, a: int, b: int, capacity: float) -> None:
        """An edge from a to b."""
        self.edges[a].append([b, capacity, len(self.edges[b])])
        self.edges[b].append([a, 0, len(self.edges[a]) - 1])

    def levels(self) -> list[int]:
        """The number of edges from the source to each place over edges with capacity left; -1 where there is no way."""
        found = [-1] * len(self.edges)
        found[0] = 0
        pending = deque([0])
        while pending:
            a = pending.popleft()
            for b, capacity, _ in self.edges[a]:
                if capacity > 0 and found[b] < 0:
                    found[b] = found[a] + 1
                    pending.append(b)
        return found

    def push(self, level: list[int], following: list[int]) -> float:
        """One more path along increasing levels; how much flows through it, 0 where there is none."""
        path: list[list] = []
        a = 0
        while a != 1:
            edges = self.edges[a]
            while following[a] < len(edges):
                edge = edges[following[a]]
                if edge[1] > 0 and level[edge[0]] == level[a] + 1:
                    break
                following[a] += 1
            else:
                if not path:
                    return 0
                edge = path.pop()
                a = self.edges[edge[0]][edge[2]][0]
                following[a] += 1
                continue
            path.append(edge)
            a = edge[0]
        amount = min(edge[1] for edge in path)
        for edge in path:
            edge[1] -= amount
            self.edges[edge[0]][edge[2]][1] += amount
        return amount

    def run(self) -> tuple[float, set[int]]:
        """The greatest flow, and the places that the source still reaches: the source's side of a smallest cut."""
        total: float = 0
        while True:
            level = self.levels()
            if level[1] < 0 or total == float("inf"):
                return total, {place for place, n in enumerate(level) if n >= 0}
            following = [0] * len(self.edges)
            while amount := self.push(level, following):
                total += amount
                if total == float("inf"):
                    break


def cheapest_cut(
    nodes: Sequence[Node],
    needed: Iterable[Value],
    sources: set[Value],
    kept: set[Value],
    cost: Mapping[Value, float],
) -> tuple[float, list[Value]]:
    """The cheapest values to keep beside those in `kept`, which are free; infinite where there is no way."""
    flow, infinite = Flow(), float("inf")
    ends: dict[Value, tuple[int, int]] = {}

    def split(x: Value) -> tuple[int, int]:
        found = ends.get(x)
        if found is None:
            found = ends[x] = flow.place(), flow.place()
            flow.join(*found, cost.get(x, x.type.nbytes))
            if x in sources:
                flow.join(0, found[0], infinite)
        return found

    reached = set()
    for x in needed:
        if x not in kept:
            reached.add(x)
            flow.join(split(x)[1], 1, infinite)
    for node in reversed(nodes):
        results = [y for y in node.results if y in reached]
        if not results or all(y in sources for y in results):
            continue
        for x in dict.fromkeys(node.operands):
            if x not in kept:
                reached.add(x)
                for y in results:
                    if y not in sources:
                        flow.join(split(x)[1], split(y)[0], infinite)
    total, side = flow.run()
    return total, [x for x, (a, b) in ends.items() if a in side and b not in side]


def smallest_cut(
    nodes: Sequence[Node],
    needed: Iterable[Value],
    sources: set[Value],
    pairs: Sequence[tuple[Value, Value]] = (),
) -> list[Value]:
    """The values to keep so that all that is needed can be computed again, at the least cost in bytes.

    Arguments:
        nodes: in order; they may be run again unless their results are in `sources`.
        needed: values that must be available.
        sources: values that are only available if they are kept. All others without a node are available.
        pairs: `(carry before the step, carry after it)`: the latter of one step is the former of the next, so keeping
            one of them keeps both.

    Of equally good choices the one nearest to the sources.
    """
    needed = list(dict.fromkeys(needed))
    shared = [k for k, (before, after) in enumerate(pairs) if before is not after]
    _, plain = cheapest_cut(nodes, needed, sources, set(), {})
    if not shared or not plain:
        return plain
    chosen = set(plain)
    limited = {x: float("inf") for k in shared for x in pairs[k]}

    def cost(picked: frozenset[int]) -> tuple[float, list[Value]]:
        kept = {x for k in picked for x in pairs[k]}
        rest, others = cheapest_cut(nodes, needed, sources - kept, kept, limited)
        return rest + sum(pairs[k][0].type.nbytes for k in picked), others

    if len(shared) <= _MAX_EXHAUSTIVE:
        subsets = itertools.chain.from_iterable(itertools.combinations(shared, n) for n in range(len(shared) + 1))
        best = min(map(frozenset, subsets), key=lambda picked: cost(picked)[0])
    else:
        best = _improved(frozenset([k for k in shared if not chosen.isdisjoint(pairs[k])]), shared, cost)
    return [pairs[k][0] for k in sorted(best)] + cost(best)[1]


def _improved(start: frozenset[int], shared: Sequence[int], cost) -> frozenset[int]:
    """The set with single members added or left out as long as that makes it cheaper."""
    best, least = start, cost(start)[0]
    while True:
        trials = [(cost(best ^ {k})[0], best ^ {k}) for k in shared]
        found, trial = min(trials, key=lambda pair: pair[0])
        if found >= least:
            return best
        best, least = trial, found
