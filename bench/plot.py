"""The picture of a soak."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.soak import Course


def plot(course: Course, file: Path) -> None:
    """Draw memory and latency over the operations done.

    Raises:
        ModuleNotFoundError: matplotlib is not installed; it is in the dependency group ``bench``.

    """
    import_module("matplotlib").use("Agg")
    figures: Any = import_module("matplotlib.pyplot")
    figure, (above, below) = figures.subplots(2, 1, sharex=True, figsize=(9, 6), layout="constrained")
    millions = [done / 1e6 for done in course.operations]
    above.plot(millions, [size / 1e6 for size in course.memory], color="tab:blue")
    above.set_ylim(0, 1.25e-6 * max(course.memory))
    above.set_ylabel("resident memory, MB")
    above.set_title(f"{course.operations[-1]:,} operations")
    for values, label, color in (
        (course.longest, "longest", "tab:red"),
        (course.slow, "99 of 100 are faster", "tab:orange"),
        (course.typical, "median", "tab:green"),
    ):
        below.plot(millions, values, label=label, color=color)
    below.set_yscale("log")
    below.set_ylabel("one operation among 8 actors, µs")
    below.set_xlabel("operations, millions")
    below.legend(loc="center right")
    for axes in (above, below):
        axes.grid(visible=True, alpha=0.3)
    figure.savefig(file, dpi=110)
    figures.close(figure)
