"""Predictions as a table, JSON, CSV and pictures."""

import csv
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO, StringIO
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from digits.data.mnist import CLASSES
from digits.errors import InputError
from digits.images.drawn import Drawing, Pixels
from digits.prediction.inputs import STDIN, Read
from digits.prediction.predictor import BLANK, NOT_SURE, Prediction, Predictor
from digits.text import aligned, flat

SHADES = " ░▒▓█"
AT_ONCE = 1024
HEADER = ("file", "digit", "probability", "runner-up", "note")


@dataclass(frozen=True)
class Answer:
    """A prediction of one file, or of one of its digits, which are then numbered from 1."""

    file: str
    prediction: Prediction
    number: int = 0

    @property
    def path(self) -> str:
        return f"{self.file}#{self.number}" if self.number else self.file

    def row(self, top: int) -> tuple[str, ...]:
        prediction, likely = self.prediction, _likeliest(self.prediction)
        others = [f"{digit} {p:.4f}" for digit, p in likely[1 : max(top, 2)]]
        digit, p = ("-", "-") if not likely else (str(likely[0][0]), f"{likely[0][1]:.4f}")
        note = prediction.note + ("; --multi reads each" if prediction.parts else "")
        return flat(self.path), digit, p, ", ".join(others) or "-", note

    def fields(self, top: int) -> dict[str, Any]:
        likely = [{"digit": d, "probability": p} for d, p in _likeliest(self.prediction)[:top]]
        return {
            "path": self.path,
            **self.prediction.told(),
            **({"top": likely} if top else {}),
            "digits": [part.told() for part in self.prediction.parts],
        }


def _likeliest(prediction: Prediction) -> list[tuple[int, float]]:
    return sorted(enumerate(prediction.probabilities or ()), key=lambda each: -each[1])


def of(
    drawings: Iterable[Read], total: int, model: Predictor, multi: bool
) -> tuple[list[Answer], int]:
    """The answers of `total` drawings, in order, and how many images could not be read: stderr has
    a line for each.
    """
    found: list[Answer] = []
    failed = 0
    with tqdm(drawings, total=total, unit="image", leave=False, disable=None) as bar:
        reads = iter(bar)  # one iterator: it closes the bar at its end
        while some := list(islice(reads, AT_ONCE)):
            good = [(path, read) for path, read in some if isinstance(read, Drawing)]
            predictions = model.predict([drawing for _, drawing in good])
            for (path, _), prediction in zip(good, predictions, strict=True):
                found += _each(path, prediction, multi)
            for _, read in some:
                if isinstance(read, InputError):
                    bar.write(f"error: {read}", file=sys.stderr)
            failed += len(some) - len(good)
    return found, failed


def _each(path: str, prediction: Prediction, multi: bool) -> list[Answer]:
    """With `multi`, one for each of several digits, from left to right."""
    parts = prediction.parts if multi else ()
    if not parts:
        return [Answer(path, prediction)]
    return [Answer(path, part, number) for number, part in enumerate(parts, 1)]


def table(answers: Sequence[Answer], top: int) -> str:
    rows = [HEADER, *(answer.row(top) for answer in answers)]
    return "\n".join([*aligned(rows), *_summary(answers)])


def _summary(answers: Sequence[Answer]) -> list[str]:
    """For ten answers or more: how many have which note."""
    if len(answers) < 10:
        return []
    notes = Counter(answer.prediction.note or "digits read" for answer in answers)
    order = ("digits read", NOT_SURE, BLANK)
    several = sum(count for note, count in notes.items() if note not in order)
    told = [f"{notes[note]} {note}" for note in order if notes[note]]
    return ["", ", ".join(told + ([f"{several} of several digits"] if several else []))]


def as_json(answers: Sequence[Answer], top: int) -> str:
    return json.dumps([answer.fields(top) for answer in answers], indent=1)


def as_csv(answers: Sequence[Answer]) -> str:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["path", "digit", "probability", *(f"p{digit}" for digit in range(CLASSES)), "note"]
    )
    for answer in answers:
        p = answer.prediction
        writer.writerow(
            [answer.path, p.digit, p.probability, *(p.probabilities or [None] * CLASSES), p.note]
        )
    return text.getvalue().rstrip("\n")


def pictures(answers: Sequence[Answer]) -> str:
    """What the model saw of each, under its name."""
    return "\n".join(
        f"{flat(answer.path)}\n{_picture(answer.prediction.seen)}"
        for answer in answers
        if answer.prediction.seen is not None
    )


def _picture(seen: Pixels) -> str:
    """In shades, without empty rows."""
    rows = [row for row in seen.tolist() if any(row)]
    return "\n".join("".join(2 * SHADES[(pixel + 32) // 64] for pixel in row) for row in rows)


def save(answers: Sequence[Answer], folder: Path) -> None:
    """What the model saw of each, as PNGs named after the files."""
    for answer in answers:
        if answer.prediction.seen is not None:
            content = BytesIO()
            Image.fromarray(answer.prediction.seen).save(content, "PNG")
            free(folder, answer).write_bytes(content.getvalue())


def free(folder: Path, answer: Answer) -> Path:
    """A path that is still free: several folders may have an x.png."""
    stem = "stdin" if answer.file == STDIN else Path(answer.file).stem
    names = (f"{stem}-{number}" for number in count(answer.number or 2))
    first = [] if answer.number else [stem]
    paths = (folder / f"{name}.png" for name in chain(first, names))
    return next(path for path in paths if not path.exists())
