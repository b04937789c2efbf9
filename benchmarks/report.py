"""Tables of medians, and targets beside what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from benchmarks.crew import Row
from benchmarks.scenario import Scenario, Target


def table(scenario: Scenario, rows: dict[str, Row]) -> Iterator[str]:
    """Lay out a scenario: each measurement as a median, its range, and times Aquila's median; then the targets.

    Yields:
        One line after the other.
    """
    base = rows[next(client for client in scenario.clients if client.startswith("aquila"))]
    heads = "".join(
        f"{f'{name}, {unit}':>22}{'min - max':>17}{'x':>7}" for name, unit in scenario.columns.items()
    )
    yield f"\n{scenario.title}"
    wide = 1 + max(12, *map(len, scenario.clients))
    yield f"  {'':<{wide}}{heads}"
    for client, row in rows.items():
        if row.trouble:
            yield f"  {client:<{wide}}{row.trouble}"
            continue
        cells = "".join(_cell(row, base, name) for name in scenario.columns)
        yield f"  {client:<{wide}}{cells}{'   one run' if len(row.measured) < scenario.rounds else ''}"
    for target in scenario.targets:
        yield f"  {_judged(target, rows)}"


def _cell(row: Row, base: Row, name: str) -> str:
    values = [run[name] for run in row.measured]
    times = median(row, name) / median(base, name) if base.measured and median(base, name) else float("nan")
    return f"{_say(median(row, name)):>22}{f'{_say(min(values))} - {_say(max(values))}':>17}{times:>7.2f}"


def median(row: Row, name: str) -> float:
    """Give the median of a measurement over a client's runs."""
    return statistics.median(run[name] for run in row.measured)


def _judged(target: Target, rows: dict[str, Row]) -> str:
    name = f"{target.of}: {target.what}"
    over = target.over_what or target.what
    if target.over is not None:
        name += f" to {target.over}'s" + (f" {over}" if target.over_what else "")
    bound = f"at most {_ratio(target.at_most)}" + (f", aim {_ratio(target.aim)}" if target.aim else "")
    if not (rows[target.of].measured and rows[target.over or target.of].measured):
        return f"{'MISSED':<7} {name}: not measured ({bound})"
    value = median(rows[target.of], target.what)
    if target.over is not None:
        value /= median(rows[target.over], over)
    return f"{'ok' if value <= target.at_most else 'MISSED':<7} {name}: {_ratio(value)} ({bound})"


def _ratio(value: float) -> str:
    return f"1/{1 / value:.1f}" if 0 < value < 1 else f"{value:.3g}"


def _say(value: float) -> str:
    return f"{value:.1f}" if abs(value) < 1000 else f"{value:,.0f}"  # noqa: PLR2004 - four digits need no fraction
