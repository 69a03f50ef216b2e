"""Which strokes make a digit, and which are specks, borders or neighbours.
Shapes: H W pixels.
"""

from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from digits.images.ink import Ink

INKED = 0.3
MOST = 200  # strokes; more are a texture


@dataclass
class Group:
    """Strokes that belong together: their labels, mass, and box (half open)."""

    labels: list[int]
    mass: float
    area: int
    left: int
    upper: int
    right: int
    lower: int

    @property
    def height(self) -> int:
        return self.lower - self.upper

    @property
    def width(self) -> int:
        return self.right - self.left

    def with_(self, other: "Group") -> "Group":
        return Group(
            self.labels + other.labels,
            self.mass + other.mass,
            self.area + other.area,
            min(self.left, other.left),
            min(self.upper, other.upper),
            max(self.right, other.right),
            max(self.lower, other.lower),
        )


def separate(ink_HW: Ink) -> list[Ink]:
    """The ink of each digit, in reading order."""
    labels_HW, count = ndimage.label(ink_HW > INKED, np.ones((3, 3)))
    if count == 0:
        return []
    strokes = _strokes(ink_HW, labels_HW)
    if len(strokes) > MOST:
        return [ink_HW]
    strokes = _without_print(_without_frame(strokes, ink_HW), labels_HW)
    groups = _without_specks(_joined(strokes))
    around_HW = ndimage.maximum_filter(labels_HW, 5)  # the soft edges of a stroke are its own
    near_HW = np.where(labels_HW > 0, labels_HW, around_HW)
    return [np.where(np.isin(near_HW, group.labels), ink_HW, 0) for group in _in_order(groups)]


def _strokes(ink_HW: Ink, labels_HW: NDArray[np.signedinteger]) -> list[Group]:
    mass = np.bincount(labels_HW.ravel(), weights=ink_HW.ravel())
    area = np.bincount(labels_HW.ravel())
    least = 0.01 * mass[1:].max()
    return [
        Group([n], float(mass[n]), int(area[n]), x.start, y.start, x.stop, y.stop)
        for n, (y, x) in enumerate(ndimage.find_objects(labels_HW), 1)
        if mass[n] >= least
    ]


def _without_frame(strokes: list[Group], ink_HW: Ink) -> list[Group]:
    """Without what reaches the picture's edge (a table, a shadow) and is greyish or away from the
    rest, if that leaves enough.
    """
    height, width = ink_HW.shape
    inside = [
        each
        for each in strokes
        if min(each.left, each.upper) > 0 and each.right < width and each.lower < height
    ]
    if sum(each.mass for each in inside) <= 0.15 * sum(each.mass for each in strokes):
        return strokes
    middle = reduce(Group.with_, inside)
    near = 0.1 * max(middle.height, middle.width)
    return [
        each
        for each in strokes
        if each in inside or (each.mass > 0.6 * each.area and max(_gaps(each, middle)) < near)
    ]


def _without_print(strokes: list[Group], labels_HW: NDArray[np.signedinteger]) -> list[Group]:
    """Without a form's box around the rest, or a line under it."""
    kept = strokes
    for each in strokes:
        rest = [other for other in kept if other is not each]
        if not rest or sum(other.mass for other in rest) < 0.2 * each.mass:
            continue
        all_rest = reduce(Group.with_, rest)
        is_line = each.height < 0.08 * each.width and each.width > 1.5 * all_rest.width
        if is_line or (_is_around(each, all_rest) and _has_corners(each, labels_HW)):
            kept = rest
    return kept


def _is_around(one: Group, other: Group) -> bool:
    return (
        one.left <= other.left
        and one.upper <= other.upper
        and one.right >= other.right
        and one.lower >= other.lower
        and one.area < 0.35 * one.width * one.height
    )


def _has_corners(group: Group, labels_HW: NDArray[np.signedinteger]) -> bool:
    """Whether it reaches all corners of its box: a rectangle does, a 0 does not."""
    box_HW = labels_HW[group.upper : group.lower, group.left : group.right] == group.labels[0]
    y, x = max(1, group.height // 10), max(1, group.width // 10)
    corners = box_HW[:y, :x], box_HW[:y, -x:], box_HW[-y:, :x], box_HW[-y:, -x:]
    return all(corner.any() for corner in corners)


def _joined(groups: list[Group]) -> list[Group]:
    """Strokes of one digit together: the bar of a 5, the parts of a broken 0."""
    tallest = max(max(each.height for each in groups), 1)
    groups = sorted(groups, key=lambda each: -each.mass)
    done: list[Group] = []
    for group in groups:
        for place, other in enumerate(done):
            if _belong(group, other, tallest):
                done[place] = other.with_(group)
                break
        else:
            done.append(group)
    return done if len(done) == len(groups) else _joined(done)


def _belong(one: Group, other: Group, tallest: int) -> bool:
    across, down = _gaps(one, other)
    narrower = min(one.width, other.width)
    whole = min(one.height, other.height) > 0.5 * tallest
    if -across > 0.3 * narrower:
        return down < (0.08 if whole else 0.3) * tallest
    small = min(one.mass, other.mass) < 0.2 * max(one.mass, other.mass)
    return small and across < 0.15 * tallest and down < 0.15 * tallest


def _gaps(one: Group, other: Group) -> tuple[int, int]:
    """Pixels between two boxes, across and down; below 0 they overlap."""
    return (
        max(one.left, other.left) - min(one.right, other.right),
        max(one.upper, other.upper) - min(one.lower, other.lower),
    )


def _without_specks(groups: list[Group]) -> list[Group]:
    largest = max(max(each.height, each.width) for each in groups)
    heaviest = max(each.mass for each in groups)
    return [
        each
        for each in groups
        if max(each.height, each.width) > 0.35 * largest and each.mass > 0.08 * heaviest
    ]


def _in_order(groups: list[Group]) -> list[Group]:
    """Line by line, each from left to right."""
    lines: list[list[Group]] = []
    for group in sorted(groups, key=lambda each: each.upper + each.lower):
        middle = (group.upper + group.lower) / 2
        if lines and middle < max(each.lower for each in lines[-1]):
            lines[-1].append(group)
        else:
            lines.append([group])
    return [group for line in lines for group in sorted(line, key=lambda each: each.left)]
