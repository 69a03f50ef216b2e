"""A run's figures, each with a title that says what was found, from its evidence and its curves."""

import warnings
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image

from digits.inspection import statistics
from digits.inspection.evidence import Evidence
from digits.inspection.figures import charts, tiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Epochs = Mapping[int, Mapping[str, float]]  # as digits.runs.run has them: from 0

DPI = 100
PACKED = 3  # of 9: half the time of the usual 6, at most a quarter larger
SAMPLES = "samples"
IMAGES_OF = {"test": "test images", "val": "validation images"}
MISTAKES = 25
LEAST_CONFIDENCE = 0.001
MOST_POINTS = 2000  # of a curve
LARGEST = 1e30  # of a score that can be drawn


def pictures(evidence: Evidence) -> Iterator[tuple[str, Image.Image]]:
    """Those there can be, by name."""
    if len(evidence.sample_labels_S):
        names = [evidence.name(label) for label in evidence.sample_labels_S]
        yield SAMPLES, tiles.samples(evidence.samples_SHW, names)
    names = evidence.names_K.tolist()
    counts_KK = statistics.confusion(evidence.labels_N, evidence.predicted_N, len(names))
    title = most_confused(evidence, counts_KK)
    yield "confusion", tiles.confusion(counts_KK, names, title)
    if len(evidence.shown_M):
        shown = evidence.pictures_MHW[:MISTAKES]
        yield "mistakes", tiles.mistakes(shown, captions(evidence), how_many_wrong(evidence))
    if len(evidence.weights_UHW):
        yield "weights", tiles.weights(evidence.weights_UHW, which_units(evidence))


def charts_of(
    evidence: Evidence | None, epochs: Epochs, test: Mapping[str, float]
) -> Iterator[tuple[str, "Figure"]]:
    """What matplotlib draws, which takes a second."""
    if panels := by_score({"train": "training", "val": "validation"}, epochs):
        yield "curves", charts.curves(panels, best(epochs, test))
    if evidence is not None:
        bins = statistics.reliability(evidence.confidence_N, evidence.is_right_N)
        yield "calibration", charts.calibration(bins, over_or_under(evidence, bins.error))


def png(picture: "Image.Image | Figure") -> bytes:
    file = BytesIO()
    if isinstance(picture, Image.Image):
        picture.save(file, "PNG", compress_level=PACKED)
        return file.getvalue()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # shown as a box
        picture.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    return file.getvalue()


def most_confused(evidence: Evidence, counts_KK: statistics.Ints) -> str:
    first, second, count = statistics.confused_most(counts_KK)
    if not count:
        return f"None of {evidence.count:,} {IMAGES_OF[str(evidence.stage)]} is confused"
    names = f"{evidence.name(first)} and {evidence.name(second)}"
    return f"{names} are confused most: {count:,} of {evidence.count:,}"


def captions(evidence: Evidence) -> list[tuple[str, str]]:
    return [
        (evidence.name(evidence.labels_N[place]),
         f"not {evidence.name(evidence.predicted_N[place])}  {evidence.confidence_N[place]:.1%}")
        for place in evidence.shown_M[:MISTAKES]
    ]  # fmt: skip


def how_many_wrong(evidence: Evidence) -> str:
    wrong, shown = evidence.count - evidence.correct, len(evidence.shown_M[:MISTAKES])
    return f"{wrong:,} of {evidence.count:,} are wrong; {shown} of them with most confidence"


def which_units(evidence: Evidence) -> str:
    shown, units = len(evidence.weights_UHW), int(evidence.units)
    which = f"the {shown} of {units:,} units with the largest" if shown < units else "all units"
    return f"First layer's weights: {which}"


def over_or_under(evidence: Evidence, error: float) -> str:
    gap = float(evidence.confidence_N.mean()) - evidence.correct / evidence.count
    if abs(gap) < LEAST_CONFIDENCE:
        return f"As sure as it is right: ECE {error:.4f}"
    kind = "Overconfident" if gap > 0 else "Underconfident"
    return f"{kind} by {abs(gap) * 100:.1f} points: ECE {error:.4f}"


def by_score(stages: Mapping[str, str], epochs: Epochs) -> dict[str, charts.Curves]:
    """For each score (loss, acc, ...) the curves of `stages`, which says how to call them."""
    panels: dict[str, dict[str, dict[float, float]]] = {}
    for epoch, scores in sorted(epochs.items()):
        for name, value in scores.items():
            stage, _, score = name.partition("/")
            if stage in stages and not score.endswith(("_best", "_step", "_norm")):
                panels.setdefault(score, {}).setdefault(stages[stage], {})[epoch + 1] = value
    thinned = {
        score: {label: _thinned(lines[label]) for label in stages.values() if label in lines}
        for score, lines in panels.items()
    }
    return dict(sorted(thinned.items(), key=lambda panel: not panel[0].startswith("loss")))


def _thinned(curve: dict[float, float]) -> dict[float, float]:
    """Some of many points, and the last one; those that are finite."""
    points = [(epoch, value) for epoch, value in curve.items() if abs(value) < LARGEST]
    step = -(-len(points) // MOST_POINTS) or 1
    return dict(points[::step] + points[-1:])


def best(epochs: Epochs, test: Mapping[str, float]) -> str:
    """What the curves come to."""
    told = [
        (value, epoch)
        for epoch, scores in epochs.items()
        for name, value in scores.items()
        if name == "val/acc" and abs(value) < LARGEST
    ]
    if told:
        value, epoch = max(told, key=lambda pair: (pair[0], -pair[1]))
        said = f"Best validation accuracy {value:.4f}, in epoch {epoch + 1} of {len(epochs)}"
    else:
        last = epochs[max(epochs)]
        name = "train/acc" if "train/acc" in last else sorted(last)[0]
        word = "Training accuracy" if name == "train/acc" else name
        said = f"{word} {last[name]:.4f} after {len(epochs)} epochs"
    return said + (f", {test['test/acc']:.4f} on test images" if "test/acc" in test else "")
