"""Timing several peers in turns, and a workload of one size by all of them."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from bench.comparison.checking import disagreeing
from bench.comparison.peers.peer import Peer, Program, reason
from bench.comparison.workload import Size, Workload


class Effort(NamedTuple):
    """How much time is spent.

    Attributes:
        rounds: how often each is timed.
        turn: seconds that one timing takes at least.
        longest: seconds after which a peer takes part in fewer rounds.
        first_calls: how often first calls are measured.
    """

    rounds: int = 15
    turn: float = 0.02
    longest: float = 6.0
    first_calls: int = 3


QUICK = Effort(rounds=5, turn=0.005, longest=2.0, first_calls=1)


def calls_per_turn(f: Callable[[], Any], seconds: float) -> tuple[int, float]:
    """How many calls take about that long, and how long they take."""
    start = time.perf_counter()
    f()
    one = max(time.perf_counter() - start, 1e-7)
    if one < seconds:
        start = time.perf_counter()
        f()
        one = max(min(one, time.perf_counter() - start), 1e-7)
    calls = max(1, math.ceil(seconds / one))
    return calls, calls * one


def takes_part(round: int, rounds: int, wanted: int) -> bool:
    """Whether somebody who is timed `wanted` times of `rounds` is timed in this round: evenly spaced."""
    return (round * wanted) // rounds != ((round - 1) * wanted) // rounds


def in_turns(
    functions: Mapping[str, Callable[[], Any]], effort: Effort, failures: dict[str, str]
) -> dict[str, list[float]]:
    """Seconds per call of each: A B C, then C B A, and so on; nan in rounds that a slow one leaves out.

    Every function has been called before; one that fails all the same is left out, and `failures` says why. The garbage
    collector is off meanwhile.
    """
    plans = {}
    for name, f in functions.items():
        found = attempted(name, lambda f=f: calls_per_turn(f, effort.turn), failures)
        if found is not None:
            calls, seconds = found
            plans[name] = calls, min(effort.rounds, max(2, int(effort.longest / seconds)))
    times: dict[str, list[float]] = {name: [] for name in plans}
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for i in range(effort.rounds):
            for name in list(times) if i % 2 == 0 else reversed(list(times)):
                calls, wanted = plans[name]
                if not takes_part(i, effort.rounds, wanted):
                    times[name].append(math.nan)
                    continue
                seconds = attempted(name, lambda f=functions[name], n=calls: _seconds_per_call(f, n), failures)
                if seconds is None:
                    del times[name]
                else:
                    times[name].append(seconds)
    finally:
        if enabled:
            gc.enable()
    return times


def _seconds_per_call(f: Callable[[], Any], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        f()
    return (time.perf_counter() - start) / calls


def attempted(name: str, f: Callable[[], Any], failures: dict[str, str]) -> Any:
    """f(); None where a peer cannot, whatever its error is: `failures` says why, and the others go on."""
    try:
        return f()
    except Exception as error:
        failures[name] = reason(error)
        return None


def summary(times: list[float]) -> dict[str, float]:
    """Median, quartiles and minimum of the rounds there are."""
    found = np.array([t for t in times if not math.isnan(t)])
    low, middle, high = np.percentile(found, [25, 50, 75])
    return {
        "median": float(middle),
        "low": float(low),
        "high": float(high),
        "minimum": float(found.min()),
        "rounds": len(found),
    }


def ratio(times: list[float], reference: list[float]) -> dict[str, float]:
    """How many times as long as the reference: the median over rounds that both were in, and of the minima."""
    pairs = [a / b for a, b in zip(times, reference, strict=True) if not (math.isnan(a) or math.isnan(b))]
    if not pairs:
        return {}
    return {"median": float(np.median(pairs)), "minima": float(np.nanmin(times) / np.nanmin(reference))}


def prepared(
    w: Workload, args: tuple[Any, ...], peers: Mapping[str, Peer], told: Callable[[str], None] = lambda name: None
) -> tuple[dict[str, Program], dict[str, str]]:
    """The programs of those who can do the workload and agree with the others, and why the rest is left out."""
    programs: dict[str, Program] = {}
    failures: dict[str, str] = {}
    results = {}
    for name, peer in peers.items():
        told(name)
        found = attempted(name, lambda peer=peer: _with_result(peer.program(w, args)), failures)
        if found is not None:
            programs[name], results[name] = found
    for name, why in disagreeing(results, w.sensitive).items():
        failures[name] = why
        del programs[name]
    return programs, failures


def _with_result(program: Program) -> tuple[Program, list[np.ndarray]]:
    return program, program.read(program.run())


def measured(
    w: Workload,
    size: Size,
    peers: Mapping[str, Peer],
    effort: Effort,
    told: Callable[[str], None] = lambda name: None,
) -> list[dict[str, Any]]:
    """The rows of a workload of one size, one per peer: what was measured, or why nothing was."""
    args = w.arguments(size)
    programs, failures = prepared(w, args, peers, told)
    told("warm calls in turns")
    warm = in_turns({name: p.run for name, p in programs.items()}, effort, failures)
    # a peer may have the derivative but not the function alone; then there is no ratio of the two
    primal = in_turns({name: programs[name].primal for name in warm if programs[name].primal}, effort, {})
    further: dict[str, str] = {}
    firsts = _first_calls(w, args, {name: peers[name] for name in warm}, effort, told, further)
    rows = []
    for name, peer in peers.items():
        row: dict[str, Any] = {"workload": w.name, "size": size.label, "kind": w.kind, "peer": name}
        rows.append(row)
        if name in failures:
            row["failure"] = failures[name]
            continue
        row["warm"] = summary(warm[name])
        for other in peers:
            if other in warm and other != name:
                row.setdefault("ratio", {})[other] = ratio(warm[name], warm[other])
        if name in primal:
            row["primal"] = summary(primal[name])
            row["gradient_over_primal"] = row["warm"]["median"] / row["primal"]["median"]
        if firsts[name]:
            row["first_call"] = summary(firsts[name])
        if name in further:
            row["first_call_failure"] = further[name]
        told(f"{name}: stages")
        row.update(_stages(w, args, peer, programs[name], effort))
    return rows


def _first_calls(
    w: Workload,
    args: tuple[Any, ...],
    peers: Mapping[str, Peer],
    effort: Effort,
    told: Callable[[str], None],
    failures: dict[str, str],
) -> dict[str, list[float]]:
    """Seconds of first calls, in turns; once only for those who take long, or fail: `failures` says why."""
    times: dict[str, list[float]] = {name: [] for name in peers}
    for i in range(effort.first_calls):
        for name, peer in list(peers.items())[:: 1 if i % 2 == 0 else -1]:
            if name in failures or (times[name] and times[name][0] > effort.longest / 2):
                continue
            told(f"{name}: first call")
            seconds = attempted(name, lambda peer=peer: peer.first_call(w, args), failures)
            if seconds is not None:
                times[name].append(seconds)
    return times


def _stages(w: Workload, args: tuple[Any, ...], peer: Peer, program: Program, effort: Effort) -> dict[str, Any]:
    """A first call taken apart (each stage's minimum over a few), memory and code."""
    try:
        found = peer.stages(w, args)
        if found is None:
            return {"memory": peer.memory(program)}
        every = [found]
        for _ in range(effort.first_calls - 1):
            if sum(found[:4]) < effort.longest / 2:
                again = peer.stages(w, args)
                assert again is not None
                every.append(again)
    except Exception as error:  # whatever it is, the row has the rest
        return {"stages_failure": reason(error)}
    names = ("trace", "lower", "compile", "run")
    return {
        "stages": {name: float(min(getattr(s, name) for s in every)) for name in names},
        "memory": found.memory,
        "code": found.code,
        "operations": found.operations,
    }
