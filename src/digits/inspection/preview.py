"""A report in a terminal: a few lines, and the worst mistakes in half-block characters.

Shapes: M pictures, H W pixels.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from digits.inspection import figures, report, statistics
from digits.inspection.comparison import Compared, of
from digits.inspection.report import Findings
from digits.text import aligned, flat

WORST = 5
CELL = 2  # columns between two pictures
LARGEST = 28  # pixels of a picture's side


def of_run(findings: Findings, columns: int) -> str:
    return "\n".join(_lines(findings, columns))


def _lines(findings: Findings, columns: int) -> Iterator[str]:
    yield f"{flat(findings.name)}: {report.how_it_went(findings)}"
    said = findings.run.status
    for line in (findings.line, said and said.error, said and said.warning):
        if line:
            yield f"note: {flat(line)}"
    yield report.verdict(findings)
    found = findings.evidence
    if found is None:
        return
    counts_KK = statistics.confusion(found.labels_N, found.predicted_N, len(found.names_K))
    yield flat(figures.most_confused(found, counts_KK))
    bins = statistics.reliability(found.confidence_N, found.is_right_N)
    yield figures.over_or_under(found, bins.error)
    if len(found.shown_M):
        captions = [f"{true}, {said}" for true, said in figures.captions(found, WORST)]
        yield ""
        yield from pictures(found.pictures_MHW[:WORST], captions, columns)


def of_several(compared: Compared) -> str:
    """The tables of the page, as text."""
    made = of(compared)
    lines = [made.verdict, flat(made.status), *map(flat, made.lines)]
    for table in made.tables:
        lines += ["", table.title, *aligned([table.head, *table.rows])]
    return "\n".join(lines)


def pictures(
    pictures_MHW: NDArray[np.uint8], captions: Sequence[str], columns: int
) -> Iterator[str]:
    """Side by side, as many as `columns` characters hold, under their captions. A character is two
    pixels: one above the other, each dark or not.
    """
    cut_MHW = _inked(_grey(pictures_MHW))
    width = max(cut_MHW.shape[2], *(len(flat(caption)) for caption in captions)) + CELL
    in_a_row = max(1, (columns + CELL) // width)
    for first in range(0, len(cut_MHW), in_a_row):
        row = slice(first, first + in_a_row)
        yield "".join(flat(caption).ljust(width) for caption in captions[row]).rstrip()
        drawn_rows = [half_blocks(picture) for picture in cut_MHW[row]]
        for parts in zip(*drawn_rows, strict=True):
            yield "".join(part.ljust(width) for part in parts).rstrip()
        yield ""


def half_blocks(picture_HW: NDArray[np.uint8]) -> list[str]:
    """Lines of a picture: where a pixel is at least half dark, its half of a character is full."""
    is_dark_HW = np.pad(picture_HW >= 128, ((0, len(picture_HW) % 2), (0, 0)))
    upper, lower = is_dark_HW[::2], is_dark_HW[1::2]
    marks = np.array([" ", "▄", "▀", "█"])[upper * 2 + lower]
    return ["".join(line) for line in marks]


def _grey(pictures_MHW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One shade, 0 paper; of colours, which are on any ground, how dark they are."""
    if pictures_MHW.ndim == 4:
        pictures_MHW = 255 - pictures_MHW.mean(-1).astype(np.uint8)
    step = -(-max(pictures_MHW.shape[1:]) // LARGEST)
    return pictures_MHW[:, ::step, ::step]


def _inked(pictures_MHW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Without the margin that all have."""
    is_dark_MHW = pictures_MHW >= 128
    rows, columns = (np.flatnonzero(is_dark_MHW.any((0, axis))) for axis in (2, 1))
    if not len(rows):
        return pictures_MHW
    return pictures_MHW[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
