"""How do accuracy and cost, and confidence and truth, look side by side? Needs matplotlib: `pip install '.[plots]'`."""

from pathlib import Path

from actors.evaluating.comparison import Compared
from actors.evaluating.statistics import reliability
from actors.protocol.errors import ConfigError


def plot(compared: Compared, path: Path) -> None:
    """Writes a PNG: accuracy against calls, and the reliability diagram. Raises `ConfigError` without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError("Plots need matplotlib: pip install 'raytroupe[plots]'.", param="png") from None
    figure = Figure(figsize=(12, 5), layout="constrained")
    cost, calibration = figure.subplots(1, 2)
    for row in compared.rows:
        cost.scatter(row.calls, row.accuracy)
        cost.annotate(row.name, (row.calls, row.accuracy), textcoords="offset points", xytext=(4, 4), fontsize=8)
        points = reliability(row.told)
        if points:
            calibration.plot([sure for sure, _, _ in points], [right for _, right, _ in points], "o-", label=row.name)
    cost.set(xlabel="calls per question", ylabel="accuracy", title=compared.panel)
    calibration.plot([0, 1], [0, 1], "k:", label="as it should be")
    calibration.set(xlabel="confidence", ylabel="share right", title="reliability")
    calibration.legend(fontsize=8)
    figure.savefig(path, dpi=120)
