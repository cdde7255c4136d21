"""Draw the sweeps of ``test_growth.py``: one SVG each, and ``growth.json`` with what they show.

tox -e bench -- -k growth --benchmark-json=bench.json
python tests/benchmarks/plot_growth.py bench.json leaderboards/speed
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 430, 280, 62, 34, 28, 46
INK, LINE, GRID = "#1f5aa6", "#d1495b", "#ddd"


def svg(facts: dict[str, Any]) -> str:
    """Points on log-log axes, and the line of the exponent through the upper half of them."""
    sizes, costs = facts["sizes"], [1000 * value for value in facts["seconds"]]
    low, high = math.floor(math.log10(min(costs))), math.ceil(math.log10(max(costs)))
    spread = math.log(sizes[-1] / sizes[0])

    def x(size: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(size / sizes[0]) / spread

    def y(cost: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (math.log10(cost) - low) / (high - low)

    half, slope = sizes[len(sizes) // 2 :], facts["exponent"]
    middle = math.exp(sum(math.log(c / s**slope) for s, c in zip(half, costs[-len(half) :], strict=True)) / len(half))
    parts = [_text(WIDTH / 2, 18, f"{facts['sweep']}: cost ~ {facts['axis']}^{slope:.2f}", "middle", 13)]
    for power in range(low, high + 1):
        at = y(10.0**power)
        parts.append(f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="{GRID}"/>')
        parts.append(_text(LEFT - 6, at + 4, f"{10.0**power:g} ms", "end"))
    for size in sizes:
        parts.append(f'<path d="M{x(size):.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="{GRID}"/>')
        parts.append(_text(x(size), HEIGHT - BOTTOM + 16, f"{size:,}", "middle"))
    ends = " ".join(f"{x(size):.1f},{y(middle * size**slope):.1f}" for size in (half[0], half[-1]))
    parts.append(f'<polyline points="{ends}" stroke="{LINE}" stroke-width="2"/>')
    parts += [
        f'<circle cx="{x(s):.1f}" cy="{y(c):.1f}" r="4" fill="{INK}"/>' for s, c in zip(sizes, costs, strict=True)
    ]
    parts.append(_text(WIDTH / 2, HEIGHT - 8, facts["axis"], "middle", 12))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>', *parts, "</svg>\n"])


def _text(x: float, y: float, text: str, anchor: str, size: int = 11) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="#333">{text}</text>'


def main(report: Path, folder: Path) -> None:
    """Write ``growth-*.svg`` and ``growth.json`` into ``folder``."""
    measured = json.loads(report.read_text(encoding="utf-8"))
    sweeps = [b["extra_info"] for b in measured["benchmarks"] if "sweep" in b["extra_info"]]
    for facts in sweeps:
        name = f"growth-{facts['sweep']}-over-{facts['axis']}.svg".replace(" ", "-")
        (folder / name).write_text(svg(facts), encoding="utf-8")
    machine = measured["machine_info"]
    where = {"cpu": machine["cpu"]["brand_raw"], "torch": machine["torch"], "gpu": machine["gpu"]}
    text = json.dumps({"machine": where, "sweeps": sweeps}, indent=1)
    (folder / "growth.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
