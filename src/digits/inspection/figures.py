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

from digits.inspection.evidence import Evidence, Pixels
from digits.inspection.statistics import Floats, Ints, Reliability
from digits.runs.run import STAGES
from digits.text import flat

Epochs = Mapping[int, Mapping[str, float]]  # as digits.runs.run has them: from 0
Curves = Mapping[str, Mapping[float, float]]  # scores by epoch, from 1, by what each is called
Captions = Sequence[Sequence[str]]  # lines of each picture: what it is, what it was taken for
Point = tuple[float, float]

SAMPLES = "samples"
PACKED = 3  # of 9, of a PNG: half the time of the usual 6, at most a quarter larger
MISTAKES = 25
LEAST_CONFIDENCE = 0.001
LARGEST = 1e30  # of a score that can be drawn
SMOOTH = 2  # all is drawn so much larger, and made smaller
TITLE = 40  # pixels, for a picture's title
TILE = 84  # pixels of a small picture's side, about
LINE = 18  # pixels of a caption's line
LONGEST = 90  # characters of a text
MOST_NUMBERS = 20  # classes whose counts are written into the cells
RIGHT, WRONG, QUIET, GRID = "#0072b2", "#d55e00", "#5a6472", "#e3e6ea"
COLOURS = (RIGHT, WRONG, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#f0e442")  # Okabe
BLUE, RED = np.array([33, 102, 172]), np.array([178, 24, 43])  # ColorBrewer's RdBu, its ends
DEEP = np.array([8, 48, 107])  # ColorBrewer's Blues, its dark end
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
    yield "calibration", calibration(evidence.reliability, over_or_under(evidence))
    if len(evidence.sample_labels_S):
        labels = [evidence.name(label) for label in evidence.sample_labels_S]
        yield SAMPLES, samples(evidence.samples_SHW, labels)
    names = evidence.names_K.tolist()
    yield "confusion", confusion(evidence.counts_KK, names, most_confused(evidence))
    if len(evidence.shown_M):
        shown = evidence.pictures_MHW[:MISTAKES]
        yield "mistakes", small(shown, captions(evidence), how_many_wrong(evidence), 5)
    if len(evidence.weights_UHW):
        yield "weights", weights(evidence.weights_UHW, which_units(evidence))


def png(picture: Image.Image) -> bytes:
    file = BytesIO()
    picture.save(file, "PNG", compress_level=PACKED)
    return file.getvalue()


def most_confused(evidence: Evidence) -> str:
    """The two classes taken for each other most often, in either direction."""
    both_KK = np.triu(evidence.counts_KK + evidence.counts_KK.T, 1)
    first, second = divmod(int(both_KK.argmax()), len(both_KK))
    if not both_KK[first, second]:
        return f"None of {evidence.count:,} {evidence.images} is confused"
    names = f"{evidence.name(first)} and {evidence.name(second)}"
    return f"{names} are confused most: {both_KK[first, second]:,} of {evidence.count:,}"


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


def over_or_under(evidence: Evidence) -> str:
    gap = float(evidence.confidence_N.mean()) - evidence.accuracy
    kind = "Overconfident" if gap > 0 else "Underconfident"
    how = f"{kind} by {abs(gap) * 100:.1f} points"
    how = how if abs(gap) >= LEAST_CONFIDENCE else "As sure as it is right"
    return f"{how}: ECE {evidence.reliability.error:.4f}"


def by_score(stages: Mapping[str, str], epochs: Epochs) -> dict[str, Curves]:
    """For each score (loss, acc, ...) the curves of `stages`, which says how to call them."""
    panels: dict[str, dict[str, dict[float, float]]] = {}
    for epoch, scores in sorted(epochs.items()):
        for name, value in scores.items():
            stage, _, score = name.partition("/")
            is_detail = score.endswith(("_best", "_step", "_norm"))
            if stage in stages and not is_detail and abs(value) < LARGEST:
                panels.setdefault(score, {}).setdefault(stages[stage], {})[epoch + 1] = value
    return dict(sorted(panels.items(), key=lambda panel: not panel[0].startswith("loss")))


def best(epochs: Epochs, test: Mapping[str, float]) -> str:
    """What the curves come to."""
    validated = {e: scores["val/acc"] for e, scores in sorted(epochs.items())
                 if abs(scores.get("val/acc", LARGEST)) < LARGEST}  # fmt: skip
    if validated:
        epoch, value = max(validated.items(), key=lambda told: told[1])
        said = f"Best validation accuracy {value:.4f}, in epoch {epoch + 1} of {len(epochs)}"
    else:
        last = epochs[max(epochs)]
        name = "train/acc" if "train/acc" in last else min(last)
        word = "Training accuracy" if name == "train/acc" else name
        said = f"{word} {last[name]:.4f} after {len(epochs)} epochs"
    return said + (f", {test['test/acc']:.4f} on test images" if "test/acc" in test else "")


class Sheet:
    """Paper with a title, `width` by `height` pixels. Places on it are (x, y) in pixels."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.width, self.height = width, height
        self.picture = Image.new("RGB", (SMOOTH * width, SMOOTH * height), "white")
        self.draw = ImageDraw.Draw(self.picture)
        self.write((width / 2, TITLE / 2), title, 15, room=width)

    def write(
        self, at: Point, text: str, size: int = 12, colour: str = "black", anchor: str = "mm",
        room: float = math.inf,
    ) -> None:  # fmt: skip
        """On one line; smaller, and then shorter, if it would not fit into `room` pixels."""
        text, room = flat(text)[:LONGEST], room * SMOOTH
        font = _font(size)
        if font.getlength(text) > room:
            font = _font(size - 3)
        while len(text) > 2 and font.getlength(text) > room:
            text = f"{text[:-2]}…"
        self.draw.text(self._scaled(at), text, colour, font, anchor)

    def line(self, points: Sequence[Point], colour: str, width: int = 1) -> None:
        joint = "curve" if len(points) < 1000 else None  # of each point it takes 10 us
        self.draw.line([self._scaled(at) for at in points], colour, width * SMOOTH, joint)

    def dot(self, at: Point, colour: str) -> None:
        self.draw.circle(self._scaled(at), 3 * SMOOTH, colour)

    def box(self, corner: Point, opposite: Point, colour: str) -> None:
        self.draw.rectangle([*self._scaled(corner), *self._scaled(opposite)], colour)

    def tile(self, pixels: Pixels, zoom: int, corner: Point) -> None:
        """Of each pixel `zoom` by `zoom`."""
        tile = Image.fromarray(pixels.repeat(SMOOTH * zoom, 0).repeat(SMOOTH * zoom, 1))
        x, y = self._scaled(corner)
        self.picture.paste(tile, (int(x), int(y)))

    def done(self) -> Image.Image:
        return self.picture.reduce(SMOOTH)

    def _scaled(self, at: Point) -> Point:
        return SMOOTH * at[0], SMOOTH * at[1]


@cache
def _font(size: int) -> Any:
    return ImageFont.load_default(SMOOTH * size)


def samples(pictures_NHW: Pixels, labels: Sequence[str]) -> Image.Image:
    """Digits under their labels, as the reference plots one: 0 white and 255 black."""
    return small(pictures_NHW, [[label] for label in labels], "")


def small(tiles_NHW: Pixels, captions: Captions, title: str, columns: int = 8) -> Image.Image:
    """Small pictures, each under its lines; where they have no colours, 0 is white."""
    zoom = max(1, round(TILE / max(tiles_NHW.shape[1:3])))
    tiles_NHW = tiles_NHW if tiles_NHW.ndim == 4 else 255 - tiles_NHW
    lines = max(map(len, captions), default=0)
    colours = ("black",) if lines == 1 else (RIGHT, WRONG)
    left, above, top = 12 * lines or 2, LINE * lines + 10 * bool(lines), TITLE if title else 0
    width, height = (zoom * side for side in (tiles_NHW.shape[2], tiles_NHW.shape[1]))
    width, height = width + 2 * left, height + above + (2 if lines else 4)
    sheet = Sheet(columns * width, top + -(-len(tiles_NHW) // columns) * height, title)
    for place, tile in enumerate(tiles_NHW):
        x, y = place % columns * width, top + place // columns * height
        sheet.tile(tile, zoom, (x + left, y + (above or 2)))
        for line, text in enumerate(captions[place] if lines else ()):
            at = x + width / 2, y + 8 + LINE * (line + 0.5)
            sheet.write(at, text, 15 - 3 * line, colours[line], room=width - 4)
    return sheet.done()


def weights(weights_UHW: Floats, title: str) -> Image.Image:
    """Each unit's weights as a picture: blue below 0, red above, white at 0."""
    return small(tinted(weights_UHW), (), title)


def tinted(values: Floats, over: Floats | int = 255) -> Pixels:
    """Colours of numbers: blue below 0, red above, and `over`, which is white, at 0."""
    shares = values[..., None] / (float(np.abs(values).max()) or 1.0)
    colours = over + np.abs(shares) * (np.where(shares > 0, RED, BLUE) - over)
    pixels: Pixels = colours.round().astype(np.uint8)
    return pixels


def confusion(counts_KK: Ints, names: Sequence[str], title: str) -> Image.Image:
    """Rows are true classes. Mistakes are the bluer the more they are; on the diagonal, which has
    far more, stand numbers alone.
    """
    classes = len(counts_KK)
    cell, size = (42, 13) if classes <= 12 else (max(1, 640 // classes), 9)
    wrong_KK = counts_KK * ~np.eye(classes, dtype=bool)
    share_KK = wrong_KK / max(1, int(wrong_KK.max()))
    cells = (255 + share_KK[..., None] * (DEEP - 255)).round().astype(np.uint8)
    right, bottom = LEFT + classes * cell, TITLE + classes * cell
    sheet = Sheet(right + 30, bottom + BELOW, title)
    sheet.box((LEFT - 1, TITLE - 1), (right, bottom), QUIET)
    sheet.tile(cells, cell, (LEFT, TITLE))
    if classes <= MOST_NUMBERS:
        middles = [cell * (place + 0.5) for place in range(classes)]
        for row, column in np.argwhere(counts_KK).tolist():
            colour = QUIET if row == column else "white" if share_KK[row, column] > 0.5 else "black"
            at = LEFT + middles[column], TITLE + middles[row]
            sheet.write(at, str(counts_KK[row, column]), size, colour)
        for middle, name in zip(middles, names, strict=False):
            sheet.write((LEFT - 8, TITLE + middle), name, size, "black", "rm", LEFT - 12)
            sheet.write((LEFT + middle, bottom + 14), name, size, room=cell - 4)
    sheet.write((LEFT - 8, TITLE - 9), "true", 12, QUIET, "rm")
    sheet.write(((LEFT + right) / 2, bottom + BELOW - 18), "predicted", 12, QUIET)
    return sheet.done()


class Axes:
    """From `low` to `high` (x, y) in a box (left, top, right, bottom) of a sheet."""

    def __init__(
        self, sheet: Sheet, box: tuple[int, int, int, int], low: Point, high: Point,
        across: Mapping[float, str], up: Mapping[float, str], name: str, below: str = "",
    ) -> None:  # fmt: skip
        self.box, self.low, self.high = box, low, high
        left, top, right, bottom = box
        for y, text in up.items():
            height = self.at(0, y)[1]
            sheet.line([(left, height), (right, height)], GRID)
            sheet.write((left - 8, height), text, 12, QUIET, "rm")
        for x, text in across.items():
            sheet.write((self.at(x, 0)[0], bottom + 12), text, 12, QUIET)
        sheet.line([(left, bottom), (right, bottom)], QUIET)
        sheet.write((left, top - 20), name, 13, anchor="lm")
        sheet.write((right, bottom + 32), below, 12, QUIET, "rm")

    def at(self, x: float, y: float) -> Point:
        (left, top, right, bottom), (x_low, y_low) = self.box, self.low
        share = (x - x_low) / (self.high[0] - x_low), (y - y_low) / (self.high[1] - y_low)
        return left + share[0] * (right - left), bottom - share[1] * (bottom - top)


def curves(panels: Mapping[str, Curves], title: str) -> Image.Image:
    """Side by side, a panel for each score: its curves by epoch, named above them all, if they are
    not more than there are colours.
    """
    width, height = PANEL
    labels = list(dict.fromkeys(label for lines in panels.values() for label in lines))
    colours = {label: COLOURS[n % len(COLOURS)] for n, label in enumerate(labels)}
    named = labels if len(labels) <= len(COLOURS) else []
    widest = max(
        (_font(12).getlength(flat(label)[:LONGEST]) / SMOOTH for label in named), default=1
    )
    in_a_row = max(1, int((width * len(panels) - LEFT) // (widest + 16)))
    top = TITLE + LINE * -(-len(named) // in_a_row) + 40
    sheet = Sheet(width * len(panels), top + height + BELOW, title)
    for place, label in enumerate(named):
        row, column = divmod(place, in_a_row)
        at: Point = LEFT + column * (widest + 16), TITLE + LINE * (row + 0.5)
        sheet.write(at, label, 12, colours[label], "lm")
    for place, (name, lines) in enumerate(panels.items()):
        epochs, values = zip(*(at for curve in lines.values() for at in curve.items()), strict=True)
        up, last = ticks(min(values), max(values)), max(*epochs, 2)
        across = {x: f"{x:g}" for x in ticks(1, last) if 1 <= x <= last and x == int(x)}
        box = place * width + LEFT, top, (place + 1) * width - 20, top + height
        axes = Axes(sheet, box, (1, min(up)), (last, max(up)), across, {y: f"{y:g}" for y in up},
                    name, "epoch")  # fmt: skip
        for label, curve in lines.items():
            points = [axes.at(x, y) for x, y in curve.items()]
            sheet.line(points, colours[label], 2)
            for at in points if len(points) <= 30 else ():
                sheet.dot(at, colours[label])
    return sheet.done()


def by_rate(losses: Mapping[float, float], best: float) -> Image.Image:
    """The loss by learning rate, above a logarithmic axis, with a dot at the `best` rate."""
    at = {math.log10(rate): loss for rate, loss in losses.items()}
    up, first, last = ticks(min(at.values()), max(at.values())), min(at), max(at)
    powers = range(math.ceil(first), math.floor(last) + 1)
    sheet = Sheet(PANEL[0], PANEL[1] + TITLE + 40 + BELOW, "Where the loss falls fastest")
    box = LEFT, TITLE + 40, PANEL[0] - 20, PANEL[1] + TITLE + 40
    axes = Axes(sheet, box, (first, min(up)), (last, max(up)), {x: f"1e{x}" for x in powers},
                {y: f"{y:g}" for y in up}, "training loss, smoothed", "learning rate")  # fmt: skip
    sheet.line([axes.at(x, y) for x, y in at.items()], RIGHT, 2)
    sheet.dot(axes.at(math.log10(best), losses[best]), WRONG)
    return sheet.done()


def calibration(bins: Reliability, title: str) -> Image.Image:
    """A reliability diagram: a perfectly calibrated classifier's bars end at the line. Below it,
    how many images are in each bin.
    """
    sheet, right = Sheet(480, 520, title), 460
    height_G = np.log10(bins.count_G + 1)
    powers = [10**power for power in range(len(str(int(bins.count_G.max()))))]
    logs = {math.log10(power + 1): str(power) for power in powers}
    fifths = {x / 5: f"{x / 5:g}" for x in range(6)}
    above = Axes(sheet, (LEFT, 60, right, 360), (0, 0), (1, 1), {}, fifths, "accuracy")
    below = Axes(sheet, (LEFT, 400, right, 460), (0, 0), (1, float(height_G.max())), fifths, logs,
                 "images", "confidence")  # fmt: skip
    count = len(bins.count_G)
    for axes, heights, colour in ((above, bins.accuracy_G, RIGHT), (below, height_G, QUIET)):
        for place in np.flatnonzero(heights):
            x, y = axes.at(place / count, heights[place])
            end, bottom = axes.at((place + 1) / count, 0)
            sheet.box((x + 1, y), (end - 1, bottom), colour)
    sheet.line([above.at(0, 0), above.at(1, 1)], WRONG, 2)
    return sheet.done()


def ticks(low: float, high: float) -> list[float]:
    """Four to eight round numbers, the first at or below `low` and the last at or above `high`."""
    spread = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(spread))
    step = next(power * each for each in (0.2, 0.5, 1, 2) if spread / (power * each) <= 6)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(place * step, 12) for place in range(first, max(last, first + 1) + 1)]
