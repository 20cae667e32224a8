"""The plot, and a page that needs nothing else: the plot as SVG, the table to sort."""

from __future__ import annotations

import html
import io
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from bench.comparison import report
from bench.comparison.workload import KINDS, load

COLOURS = {
    "lilith": "#b3123f",
    "jax.jit": "#1f6fb4",
    "torch": "#e08214",
    "torch.compile": "#8c510a",
    "autograd": "#5aae61",
    "NumPy by hand": "#777777",
}
STAGES = {"trace": "#d9778f", "lower": "#b3123f", "compile": "#8fb8d9", "run": "#444444"}


def write(folder: Path, machine: dict[str, Any], rows: list[dict[str, Any]]) -> list[Path]:
    """`comparison.png` and `comparison.html` in a folder."""
    figure = draw(machine, rows)
    picture, page = folder / "comparison.png", folder / "comparison.html"
    figure.savefig(picture, dpi=110)
    svg = io.StringIO()
    figure.savefig(svg, format="svg", metadata={"Date": None})
    page.write_text(document(machine, rows, svg.getvalue()[svg.getvalue().index("<svg") :]))
    return [picture, page]


def draw(machine: dict[str, Any], rows: list[dict[str, Any]]) -> Figure:
    """Left: warm calls as multiples of jax.jit's, a dot per peer. Right: first calls of both compilers, by stage."""
    places = list(dict.fromkeys((row["workload"], row["size"]) for row in rows))
    height = {place: len(places) - 1 - i for i, place in enumerate(places)}
    figure = Figure(figsize=(13, 1.9 + 0.31 * len(places)), layout="constrained")
    warm, first = figure.subplots(1, 2, sharey=True, width_ratios=(1.25, 1))
    for peer in dict.fromkeys(row["peer"] for row in rows):
        found = [(report.relative(r), height[r["workload"], r["size"]]) for r in rows if r["peer"] == peer]
        drawn = [(x, y) for x, y in found if x is not None]
        if drawn:
            xs, ys = zip(*drawn, strict=True)
            top = 3 if peer == "lilith" else 2
            warm.plot(xs, ys, "o" if peer == "lilith" else "D", ms=7 if top == 3 else 4.5, color=COLOURS.get(peer),
                      label=peer, ls="none", zorder=top)  # fmt: skip
    warm.set_xscale("log", base=2)
    warm.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    warm.tick_params(top=True, labeltop=True)
    warm.axvline(1.0, color=COLOURS["jax.jit"], lw=0.8, zorder=1)
    warm.set_yticks(list(height.values()), [f"{name}  {size}" for name, size in places], fontsize=8)
    warm.set_ylim(-0.7, len(places) - 0.3)
    warm.set_title("warm call, times jax.jit's (left is faster)", fontsize=10)
    warm.grid(axis="both", color="#dddddd", lw=0.6)
    _draw_first_calls(first, rows, height)
    figure.legend(loc="outside lower center", ncols=10, fontsize=8, frameon=False)
    figure.suptitle(report.head(machine)[0], fontsize=9, color="#444444")
    return figure


def _draw_first_calls(axes: Any, rows: list[dict[str, Any]], height: dict[tuple[str, str], int]) -> None:
    """Bars: Lilith's above jax.jit's."""
    named: set[str] = set()
    for peer, shift in (("lilith", 0.19), ("jax.jit", -0.19)):
        for row in rows:
            if row["peer"] != peer or "stages" not in row:
                continue
            left = 0.0
            for stage, colour in STAGES.items():
                width = row["stages"][stage] * 1e3
                label = None if stage in named else stage
                named.add(stage)
                faded = 1.0 if peer == "lilith" else 0.55
                axes.barh(height[row["workload"], row["size"]] + shift, width, 0.34, left, color=colour, label=label,
                          alpha=faded)  # fmt: skip
                left += width
    axes.set_title("first call in ms, by stage: lilith above, jax.jit below (paler)", fontsize=10)
    axes.grid(axis="x", color="#dddddd", lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)


STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1420px; padding: 0 1em; color: #222 }
svg { max-width: 100%; height: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 12.5px; width: 100% }
th, td { padding: 3px 8px; text-align: right; border-bottom: 1px solid #e4e4e4; white-space: nowrap }
th { position: sticky; top: 0; background: #fff; cursor: pointer; border-bottom: 2px solid #888 }
th:nth-child(-n+3), td:nth-child(-n+3) { text-align: left }
th[aria-sort=ascending]::after { content: " \\25b2" } th[aria-sort=descending]::after { content: " \\25bc" }
tr.lilith { background: #fbeef2 } td.why { text-align: left; color: #777; white-space: normal }
td.slow { color: #b3123f; font-weight: 600 } td.fast { color: #22723a }
label { margin-right: 1em }
"""

SCRIPT = """
const table = document.querySelector("table"), body = table.tBodies[0];
const key = (row, i) => { const c = row.cells[i]; return c ? (c.dataset.v ?? c.textContent) : ""; };
table.tHead.addEventListener("click", event => {
  const head = event.target.closest("th"), i = head.cellIndex;
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const th of table.tHead.rows[0].cells) th.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const rows = [...body.rows].sort((a, b) => {
    const x = key(a, i), y = key(b, i);
    if (x === "" || y === "") return (x === "") - (y === "");
    const d = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
    return down ? -d : d;
  });
  body.append(...rows);
});
for (const box of document.querySelectorAll("input")) box.addEventListener("change", () => {
  for (const row of body.rows) if (row.dataset.peer === box.value) row.hidden = !box.checked;
});
"""

COLUMNS = (
    "workload", "size", "peer", "warm", "spread", "of jax.jit", "of minima", "/ primal", "first call", "trace", "lower",
    "compile", "run", "memory", "code", "operations",
)  # fmt: skip


def document(machine: dict[str, Any], rows: list[dict[str, Any]], svg: str) -> str:
    """The page."""
    peers = list(dict.fromkeys(row["peer"] for row in rows))
    boxes = "".join(
        f'<label><input type="checkbox" checked value="{html.escape(p)}"> {html.escape(p)}</label>' for p in peers
    )
    about = "".join(
        f"<dt><b>{html.escape(w.name)}</b></dt><dd>{html.escape(w.about)} ({html.escape(KINDS[w.kind])})</dd>"
        for name, w in load().items()
        if any(row["workload"] == name for row in rows)
    )
    lines = "".join(f"<p>{html.escape(line)}</p>" for line in [*report.head(machine), *report.means(rows)])
    data = json.dumps({"machine": machine, "rows": rows}).replace("<", "\\u003c")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>Lilith beside its peers</title><style>{STYLE}</style></head><body>"
        f"<h1>Lilith beside its peers</h1>{lines}{svg}"
        "<p>A click on a column's head sorts. Times are medians of synchronised calls in turns; spread is the distance "
        "of the quartiles; every result was checked against the others before it was timed.</p>"
        f"<p>{boxes}</p><table><thead><tr>{''.join(f'<th>{html.escape(c)}</th>' for c in COLUMNS)}</tr></thead><tbody>"
        f"{''.join(_line(row) for row in rows)}</tbody></table><h2>Workloads</h2><dl>{about}</dl>"
        f'<script type="application/json" id="data">{data}</script><script>{SCRIPT}</script></body></html>\n'
    )


def _line(row: dict[str, Any]) -> str:
    """A row of the page's table; cells carry the number that they are sorted by."""
    peer = html.escape(row["peer"])
    start = f'<tr class="{peer}" data-peer="{peer}"><td>{row["workload"]}</td><td>{row["size"]}</td><td>{peer}</td>'
    if "failure" in row:
        return f'{start}<td class="why" colspan="{len(COLUMNS) - 3}" data-v="">{html.escape(row["failure"])}</td></tr>'
    warm, stages = row["warm"], row.get("stages", {})
    against = report.relative(row)
    numbers = [
        warm["median"],
        (warm["high"] - warm["low"]) / warm["median"],
        against,
        report.relative_minima(row),
        row.get("gradient_over_primal"),
        row.get("first_call", {}).get("median"),
        *[stages.get(name) for name in STAGES],
        row.get("memory"),
        row.get("code"),
        row.get("operations"),
    ]
    texts = [*report.cells(row)[1:], "" if row.get("operations") is None else str(row["operations"])]
    cells = []
    for i, (number, text) in enumerate(zip(numbers, texts, strict=True)):
        colour = ""
        if i == 2 and row["peer"] == "lilith" and against is not None:
            colour = ' class="slow"' if against > 1.05 else ' class="fast"' if against < 0.95 else ""
        cells.append(f'<td data-v="{"" if number is None else number}"{colour}>{text}</td>')
    return f"{start}{''.join(cells)}</tr>"
