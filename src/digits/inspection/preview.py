"""A report in a terminal: a few lines, and the worst mistakes in half-block characters.

Shapes: M pictures, H W pixels.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from digits.inspection import figures, report
from digits.inspection.report import Findings, Page
from digits.text import aligned, flat

WORST = 5
CELL = 2  # columns between two pictures
LARGEST = 28  # pixels of a picture's side


def of_run(findings: Findings, columns: int) -> str:
    lines = [f"{findings.name}: {report.how_it_went(findings.run)}"]
    lines += [f"note: {line}" for line in findings.lines]
    lines += [report.verdict(findings)]
    if found := findings.evidence:
        lines += [flat(figures.most_confused(found)), figures.over_or_under(found)]
        if len(found.shown_M):
            captions = [flat(", ".join(words)) for words in figures.captions(found, WORST)]
            lines += ["", *pictures(found.pictures_MHW[:WORST], captions, columns)]
    return "\n".join(lines)


def of_several(page: Page) -> str:
    """Its tables, as text."""
    lines = [page.verdict, flat(page.status), *page.lines]
    for table in page.tables:
        lines += ["", table.title, *aligned([table.head, *table.rows])]
    return "\n".join(lines)


def pictures(
    pictures_MHW: NDArray[np.uint8], captions: Sequence[str], columns: int
) -> Iterator[str]:
    """Side by side, as many as `columns` characters hold, under their captions. A character is two
    pixels: one above the other, each dark or not.
    """
    is_dark_MHW = _without_margin(_grey(pictures_MHW) >= 128)
    width = max(is_dark_MHW.shape[2], *map(len, captions)) + CELL
    in_a_row = max(1, (columns + CELL) // width)
    for first in range(0, len(captions), in_a_row):
        row = slice(first, first + in_a_row)
        drawn = [half_blocks(picture) for picture in is_dark_MHW[row]]
        for parts in (captions[row], *zip(*drawn, strict=True)):
            yield "".join(part.ljust(width) for part in parts).rstrip()
        yield ""


def half_blocks(is_dark_HW: NDArray[np.bool_]) -> list[str]:
    """Lines of a picture: of each character the dark halves are full."""
    is_dark_HW = np.pad(is_dark_HW, ((0, len(is_dark_HW) % 2), (0, 0)))
    marks = np.array([" ", "▄", "▀", "█"])[is_dark_HW[::2] * 2 + is_dark_HW[1::2]]
    return ["".join(line) for line in marks]


def _grey(pictures_MHW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One shade, 0 paper; of colours, which are on any ground, how dark they are."""
    if pictures_MHW.ndim == 4:
        pictures_MHW = 255 - pictures_MHW.mean(-1).astype(np.uint8)
    step = -(-max(pictures_MHW.shape[1:]) // LARGEST)
    return pictures_MHW[:, ::step, ::step]


def _without_margin(is_dark_MHW: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Without the one that all have."""
    rows, columns = (np.flatnonzero(is_dark_MHW.any((0, axis))) for axis in (2, 1))
    if not len(rows):
        return is_dark_MHW
    return is_dark_MHW[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
