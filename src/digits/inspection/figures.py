"""A run's figures, drawn by Pillow, each under what it shows. (matplotlib takes 0.6 s to import,
and a second for the small pictures.)

Shapes: N pictures, U units, K classes, G bins, H W pixels (and 3 colours or none).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from digits.inspection import statistics
from digits.inspection.evidence import Evidence, Pixels
from digits.inspection.statistics import Floats, Ints, Reliability
from digits.text import flat

Epochs = Mapping[int, Mapping[str, float]]  # as digits.runs.run has them: from 0
Curve = Mapping[float, float]  # scores by epoch, from 1
Curves = Mapping[str, Curve]  # by what each is called
Captions = Sequence[Sequence[tuple[str, str]]]  # of each picture its lines, with their colours

SAMPLES = "samples"
IMAGES_OF = {"test": "test images", "val": "validation images"}
STAGES = {"train": "training", "val": "validation"}
PACKED = 3  # of 9, of a PNG: half the time of the usual 6, at most a quarter larger
MISTAKES = 25
LEAST_CONFIDENCE = 0.001
MOST_POINTS = 2000  # of a curve
LARGEST = 1e30  # of a score that can be drawn
TITLE = 40  # pixels, for a picture's title
TILE = 84  # pixels of a small picture's side, about
LINE = 18  # pixels of a caption's line
LONGEST = 90  # characters of a title
SMALLEST = 9  # of a font
MOST_NUMBERS = 20  # classes whose counts are written into the cells
RIGHT, WRONG, QUIET, GRID = "#0072b2", "#d55e00", "#5a6472", "#e3e6ea"
COLOURS = (RIGHT, WRONG, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#f0e442")  # Okabe
BLUE, RED = np.array([33, 102, 172]), np.array([178, 24, 43])  # ColorBrewer's RdBu, its ends
DEEP = np.array([8, 48, 107])  # ColorBrewer's Blues, its dark end
SMOOTH = 2  # charts are drawn so much larger, and made smaller
PANEL = 560, 260  # pixels: a chart and what is left of it; the height of its axis
LEFT, BELOW = 70, 60  # pixels beside and under what has axes


def figures(
    evidence: Evidence | None, epochs: Epochs, test: Mapping[str, float]
) -> Iterator[tuple[str, Image.Image]]:
    """Those there can be, by name."""
    if panels := by_score(STAGES, epochs):
        yield "curves", curves(panels, best(epochs, test))
    if evidence is None:
        return
    bins = statistics.reliability(evidence.confidence_N, evidence.is_right_N)
    yield "calibration", calibration(bins, over_or_under(evidence, bins.error))
    if len(evidence.sample_labels_S):
        labels = [evidence.name(label) for label in evidence.sample_labels_S]
        yield SAMPLES, samples(evidence.samples_SHW, labels)
    names = evidence.names_K.tolist()
    counts_KK = statistics.confusion(evidence.labels_N, evidence.predicted_N, len(names))
    yield "confusion", confusion(counts_KK, names, most_confused(evidence, counts_KK))
    if len(evidence.shown_M):
        shown = evidence.pictures_MHW[:MISTAKES]
        yield "mistakes", small(shown, mistaken(captions(evidence)), how_many_wrong(evidence), 5)
    if len(evidence.weights_UHW):
        yield "weights", weights(evidence.weights_UHW, which_units(evidence))


def png(picture: Image.Image) -> bytes:
    file = BytesIO()
    picture.save(file, "PNG", compress_level=PACKED)
    return file.getvalue()


def most_confused(evidence: Evidence, counts_KK: Ints) -> str:
    first, second, count = statistics.confused_most(counts_KK)
    if not count:
        return f"None of {evidence.count:,} {IMAGES_OF[str(evidence.stage)]} is confused"
    names = f"{evidence.name(first)} and {evidence.name(second)}"
    return f"{names} are confused most: {count:,} of {evidence.count:,}"


def captions(evidence: Evidence, count: int = MISTAKES) -> list[tuple[str, str]]:
    """Of the most confident mistakes what each is, and what it was taken for."""
    return [
        (evidence.name(evidence.labels_N[place]),
         f"not {evidence.name(evidence.predicted_N[place])} ({evidence.confidence_N[place]:.1%})")
        for place in evidence.shown_M[:count]
    ]  # fmt: skip


def how_many_wrong(evidence: Evidence) -> str:
    wrong, shown = evidence.count - evidence.correct, len(evidence.shown_M[:MISTAKES])
    return f"{wrong:,} of {evidence.count:,} are wrong; {shown} of them with most confidence"


def which_units(evidence: Evidence) -> str:
    shown, units = len(evidence.weights_UHW), int(evidence.units)
    which = f"the {shown} of {units:,} units with the largest" if shown < units else "all units"
    return f"First layer's weights: {which}"


def over_or_under(evidence: Evidence, error: float) -> str:
    gap = float(evidence.confidence_N.mean()) - evidence.accuracy
    if abs(gap) < LEAST_CONFIDENCE:
        return f"As sure as it is right: ECE {error:.4f}"
    kind = "Overconfident" if gap > 0 else "Underconfident"
    return f"{kind} by {abs(gap) * 100:.1f} points: ECE {error:.4f}"


def by_score(stages: Mapping[str, str], epochs: Epochs) -> dict[str, Curves]:
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
        (value, -epoch)
        for epoch, scores in epochs.items()
        for name, value in scores.items()
        if name == "val/acc" and abs(value) < LARGEST
    ]
    if told:
        value, epoch = max(told)
        said = f"Best validation accuracy {value:.4f}, in epoch {1 - epoch} of {len(epochs)}"
    else:
        last = epochs[max(epochs)]
        name = "train/acc" if "train/acc" in last else sorted(last)[0]
        word = "Training accuracy" if name == "train/acc" else name
        said = f"{word} {last[name]:.4f} after {len(epochs)} epochs"
    return said + (f", {test['test/acc']:.4f} on test images" if "test/acc" in test else "")


def samples(pictures_NHW: Pixels, labels: Sequence[str]) -> Image.Image:
    """Digits under their labels, as the reference plots one: 0 white and 255 black."""
    return small(pictures_NHW, [[(label, "black")] for label in labels], "", 8)


def mistaken(captions: Sequence[tuple[str, str]]) -> Captions:
    return [[(true, RIGHT), (said, WRONG)] for true, said in captions]


def small(tiles_NHW: Pixels, captions: Captions, title: str, columns: int) -> Image.Image:
    """Small pictures, each under its lines; where they have no colours, 0 is white."""
    zoom = max(1, round(TILE / max(tiles_NHW.shape[1:3])))
    shown_NHW = tiles_NHW.repeat(zoom, 1).repeat(zoom, 2)
    shown_NHW = shown_NHW if shown_NHW.ndim == 4 else 255 - shown_NHW
    lines = max(map(len, captions), default=0)
    width = shown_NHW.shape[2] + (48 if lines > 1 else 24 if lines else 4)
    height = shown_NHW.shape[1] + (LINE * lines + 12 if lines else 4)
    above = TITLE if title else 0
    rows = -(-len(shown_NHW) // columns)
    picture = Image.new("RGB", (columns * width, above + rows * height), "white")
    for place, tile in enumerate(shown_NHW):
        row, column = divmod(place, columns)
        left, top = column * width, above + row * height
        at = left + (width - tile.shape[1]) // 2, top + height - tile.shape[0] - 2
        picture.paste(Image.fromarray(tile), at)
        for line, (text, colour) in enumerate(captions[place] if lines else ()):
            middle = left + width // 2, top + 8 + LINE * line + LINE // 2
            _write(picture, middle, text, 15 - 3 * line, colour, room=width - 4)
    _write(picture, (picture.width // 2, above // 2), title, 15, "black")
    return picture


def weights(weights_UHW: Floats, title: str) -> Image.Image:
    """Each unit's weights as a picture: blue below 0, red above, white at 0."""
    share_UHW = weights_UHW / (float(np.abs(weights_UHW).max()) or 1.0)
    ends = np.where(share_UHW[..., None] > 0, RED, BLUE)
    tiles = (255 + np.abs(share_UHW)[..., None] * (ends - 255)).round().astype(np.uint8)
    return small(tiles, (), title, 8)


def confusion(counts_KK: Ints, names: Sequence[str], title: str) -> Image.Image:
    """Rows are true classes. Mistakes are the bluer the more they are; on the diagonal, which has
    far more, stand numbers alone.
    """
    classes = len(counts_KK)
    cell = 42 if classes <= 12 else max(1, 640 // classes)
    wrong_KK = counts_KK * ~np.eye(classes, dtype=bool)
    share_KK = wrong_KK / max(1, int(wrong_KK.max()))
    cells = (255 + share_KK[..., None] * (DEEP - 255)).round().astype(np.uint8)
    right, bottom = LEFT + classes * cell, TITLE + classes * cell
    picture = Image.new("RGB", (right + 30, bottom + BELOW), "white")
    picture.paste(Image.fromarray(cells.repeat(cell, 0).repeat(cell, 1)), (LEFT, TITLE))
    frame = (LEFT - 1, TITLE - 1, right, bottom)
    ImageDraw.Draw(picture).rectangle(frame, outline=QUIET)
    if classes <= MOST_NUMBERS:
        size = 13 if classes <= 12 else 9
        middles = [cell * place + cell // 2 for place in range(classes)]
        for row, column in np.argwhere(counts_KK).tolist():
            colour = QUIET if row == column else "white" if share_KK[row, column] > 0.5 else "black"
            at = LEFT + middles[column], TITLE + middles[row]
            _write(picture, at, str(counts_KK[row, column]), size, colour)
        for middle, name in zip(middles, names, strict=False):
            _write(picture, (LEFT - 8, TITLE + middle), name, size, "black", "rm", LEFT - 12)
            _write(picture, (LEFT + middle, bottom + 14), name, size, "black", room=cell - 4)
    _write(picture, (LEFT - 8, TITLE - 9), "true", 12, QUIET, "rm")
    _write(picture, ((LEFT + right) // 2, picture.height - 18), "predicted", 12, QUIET)
    _write(picture, (picture.width // 2, TITLE // 2 - 7), title, 15, "black")
    return picture


class Chart:
    """Axes from `low` to `high` (x, y) in a part of a picture that is `SMOOTH` times as large."""

    def __init__(
        self, picture: Image.Image, box: tuple[int, int, int, int],
        low: tuple[float, float], high: tuple[float, float],
    ) -> None:  # fmt: skip
        self.picture, self.draw = picture, ImageDraw.Draw(picture)
        self.box, self.low, self.high = [SMOOTH * each for each in box], low, high

    def at(self, x: float, y: float) -> tuple[float, float]:
        left, top, right, bottom = self.box
        (x_low, y_low), (x_high, y_high) = self.low, self.high
        return (
            left + (x - x_low) / (x_high - x_low) * (right - left),
            bottom - (y - y_low) / (y_high - y_low) * (bottom - top),
        )

    def write(self, at: tuple[float, float], text: str, colour: str, anchor: str = "mm") -> None:
        _write(self.picture, at, text, 12 * SMOOTH, colour, anchor)

    def axes(self, across: Mapping[float, str], up: Mapping[float, str]) -> None:
        left, _, right, bottom = self.box
        for y, text in up.items():
            height = self.at(0, y)[1]
            self.draw.line((left, height, right, height), GRID, SMOOTH)
            self.write((left - 8 * SMOOTH, height), text, QUIET, "rm")
        for x, text in across.items():
            self.write((self.at(x, 0)[0], bottom + 12 * SMOOTH), text, QUIET)
        self.draw.line((left, bottom, right, bottom), QUIET, SMOOTH)

    def line(self, curve: Curve, colour: str) -> None:
        points = [self.at(x, y) for x, y in curve.items()]
        self.draw.line(points, colour, 2 * SMOOTH, "curve")
        for x, y in points if len(points) <= 30 else ():
            self.draw.circle((x, y), 3 * SMOOTH, colour)

    def bar(self, left: float, right: float, y: float, colour: str) -> None:
        (x, top), (end, bottom) = self.at(left, y), self.at(right, self.low[1])
        if bottom - top >= 1:
            self.draw.rectangle((x + SMOOTH, top, end - SMOOTH, bottom), colour)


def curves(panels: Mapping[str, Curves], title: str) -> Image.Image:
    """Side by side, a panel for each score: its curves by epoch, named above them all, if they are
    not more than there are colours.
    """
    width, height = PANEL
    labels = list(dict.fromkeys(label for lines in panels.values() for label in lines))
    legend = _rows(labels if len(labels) <= len(COLOURS) else [], width * len(panels) - LEFT)
    top = TITLE + LINE * len(legend) + 40
    size = SMOOTH * width * len(panels), SMOOTH * (top + height + BELOW)
    picture = Image.new("RGB", size, "white")
    for place, (name, lines) in enumerate(panels.items()):
        left, right = place * width + LEFT, (place + 1) * width - 20
        points = [point for curve in lines.values() for point in curve.items()] or [(1, 0.0)]
        epochs, values = zip(*points, strict=True)
        up, last = ticks(min(values), max(values)), max(*epochs, 2)
        box = (left, top, right, top + height)
        chart = Chart(picture, box, (1, min(up)), (last, max(up)))
        chart.axes({x: f"{x:g}" for x in ticks(1, last) if 1 <= x <= last and x == int(x)},
                   {y: f"{y:g}" for y in up})  # fmt: skip
        for label, curve in lines.items():
            chart.line(curve, COLOURS[labels.index(label) % len(COLOURS)])
        _write(picture, (SMOOTH * left, SMOOTH * (top - 20)), name, 13 * SMOOTH, "black", "lm")
        chart.write((SMOOTH * right, SMOOTH * (top + height + 32)), "epoch", QUIET, "rm")
    for y, row in enumerate(legend):
        for x, label in row:
            at = SMOOTH * (LEFT + x), SMOOTH * (TITLE + LINE * y + LINE // 2)
            _write(picture, at, label, 12 * SMOOTH, COLOURS[labels.index(label)], "lm")
    _write(picture, (picture.width / 2, SMOOTH * TITLE / 2), title, 15 * SMOOTH, "black")
    return picture.reduce(SMOOTH)


def _rows(labels: Sequence[str], room: int) -> list[list[tuple[int, str]]]:
    """One after the other, each with its place (pixels), in rows of `room` pixels."""
    rows: list[list[tuple[int, str]]] = []
    x = room
    for label in labels:
        long = int(_font(12).getlength(flat(label)[:LONGEST])) + 16
        if x + long > room:
            rows.append([])
            x = 0
        rows[-1].append((x, label))
        x += long
    return rows


def calibration(bins: Reliability, title: str) -> Image.Image:
    """A reliability diagram: a perfectly calibrated classifier's bars end at the line. Below it,
    how many images are in each bin.
    """
    side, height = 480, 520
    picture = Image.new("RGB", (SMOOTH * side, SMOOTH * height), "white")
    most = int(bins.count_G.max())
    powers = [10**power for power in range(len(str(most)))]
    above = Chart(picture, (LEFT, 60, side - 20, 360), (0, 0), (1, 1))
    below = Chart(picture, (LEFT, 390, side - 20, 460), (0, 0), (1, math.log10(most + 1)))
    fifths = {x / 5: f"{x / 5:g}" for x in range(6)}
    above.axes({}, fifths)
    below.axes(fifths, {math.log10(power + 1): str(power) for power in powers})
    count = len(bins.count_G)
    for place in range(count):
        left, right = place / count, (place + 1) / count
        above.bar(left, right, bins.accuracy_G[place], COLOURS[0])
        below.bar(left, right, math.log10(bins.count_G[place] + 1), QUIET)
    above.draw.line([above.at(0, 0), above.at(1, 1)], WRONG, 2 * SMOOTH)
    above.write(above.at(0, 1.07), "accuracy", QUIET)
    below.write(below.at(0, 1.2 * below.high[1]), "images", QUIET)
    below.write((below.box[2], below.box[3] + 36 * SMOOTH), "confidence", QUIET, "rm")
    _write(picture, (picture.width / 2, SMOOTH * TITLE / 2), title, 15 * SMOOTH, "black")
    return picture.reduce(SMOOTH)


def ticks(low: float, high: float) -> list[float]:
    """Four to eight round numbers, the first at or below `low` and the last at or above `high`."""
    spread = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(spread))
    step = next(power * each for each in (0.2, 0.5, 1, 2) if spread / (power * each) <= 6)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(place * step, 12) for place in range(first, max(last, first + 1) + 1)]


def _write(
    picture: Image.Image, at: tuple[float, float], text: str, size: int, colour: str,
    anchor: str = "mm", room: int | None = None,
) -> None:  # fmt: skip
    """On one line; smaller, and then shorter, if it would not fit into `room` pixels, by default
    the picture's width.
    """
    room = room or picture.width
    text = flat(text)[:LONGEST]
    if (width := _font(size).getlength(text)) > room:
        size = max(min(size, SMALLEST), int(size * room / width))
    while len(text) > 2 and _font(size).getlength(text) > room:
        text = f"{text[:-2]}…"
    ImageDraw.Draw(picture).text(at, text, colour, _font(size), anchor)


@cache
def _font(size: int) -> Any:
    return ImageFont.load_default(size)
