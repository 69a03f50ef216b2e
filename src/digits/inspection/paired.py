"""On which images classifiers disagree. Shapes: N images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from PIL import Image

from digits.inspection import statistics
from digits.inspection.evidence import Evidence, Pixels
from digits.inspection.figures import tiles
from digits.inspection.page import Table

MOST_PAIRED = 8  # classifiers whose pairs are all compared; of more, each with the best
MOST_SHOWN = 40  # images

Known = Sequence[tuple[str, Evidence]]  # classifiers by their labels


@dataclass(frozen=True)
class Pair:
    first: str
    second: str
    only_first: int
    only_second: int
    p: float


def pairs(known: Known) -> Iterator[Pair]:
    """Of those that have seen the same images."""
    if len(known) > MOST_PAIRED:
        best = max(known, key=lambda pair: pair[1].correct)
        chosen = [(best, other) for other in known if other is not best]
    else:
        chosen = list(combinations(known, 2))
    for (first, found), (second, other) in chosen:
        if found.sees_the_same(other):
            yield Pair(first, second, *statistics.mcnemar(found.is_right_N, other.is_right_N))


def table(pairs: Sequence[Pair]) -> Table:
    rows = [
        [pair.first, pair.second, str(pair.only_first), str(pair.only_second), f"{pair.p:.2g}"]
        for pair in sorted(pairs, key=lambda pair: pair.p)
    ]
    several = f" With {len(pairs)} pairs, expect {len(pairs) * 0.05:.1f} below 0.05 by chance."
    return Table(
        "On which images they disagree",
        rows,
        ("A", "B", "only A is right", "only B is right", "p"),
        (2, 3, 4),
        "McNemar's exact test: how likely a split as uneven is if both are equally good."
        + (several if len(pairs) > 1 else ""),
    )


def picture(known: Known) -> Image.Image | None:
    """Of the images on which they are most divided, if they have kept any."""
    places, captions, title = divided(known)
    pictures = _pictures(known)
    shapes = {pictures[place].shape for place in places}
    if len(shapes) != 1:
        return None
    shown = np.stack([pictures[place] for place in places])
    return tiles.mistakes(shown, captions, title, columns=8)


def divided(known: Known) -> tuple[list[int], list[tuple[str, str]], str]:
    """The images on which they are most divided, as far as there is a picture; what each is and was
    taken for; how many there are.
    """
    found = _of_the_same_images(known)
    if len(found) < 2:
        return [], [], ""
    right_N = np.sum([each.is_right_N for each in found], axis=0)
    some = np.flatnonzero((right_N > 0) & (right_N < len(found)))
    order = some[np.argsort(np.abs(right_N[some] - len(found) / 2), kind="stable")]
    pictures = _pictures(known)
    places = [int(place) for place in order if int(place) in pictures][:MOST_SHOWN]
    captions = []
    for place in places:
        said = [each.name(each.predicted_N[place]) for each in found]
        text = " / ".join(said) if len(found) <= 3 else f"{right_N[place]} of {len(found)} right"
        captions.append((found[0].name(found[0].labels_N[place]), text))
    count = f"{len(some):,} of {found[0].count:,}"
    return places, captions, f"{count} images are right in some runs, wrong in others"


def _of_the_same_images(known: Known) -> list[Evidence]:
    """As the first one's."""
    return [each for _, each in known if each.sees_the_same(known[0][1])]


def _pictures(known: Known) -> dict[int, Pixels]:
    return {
        int(place): picture
        for each in _of_the_same_images(known)
        for place, picture in zip(each.shown_M, each.pictures_MHW, strict=True)
    }
