"""A report as one HTML file: no script, and nothing from any network. All in it is text."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path

from digits.files import write_atomically


@dataclass(frozen=True)
class Table:
    """`numbers` are the columns to align to the right."""

    title: str
    rows: Sequence[Sequence[str]]
    head: Sequence[str] = ()
    numbers: Iterable[int] = ()
    note: str = ""


@dataclass(frozen=True)
class Figure:
    name: str
    png: bytes
    is_wide: bool = False

    @property
    def base64(self) -> str:
        return base64.b64encode(self.png).decode()


@dataclass(frozen=True)
class Text:
    title: str
    words: str
    is_open: bool = False


@dataclass
class Page:
    """`lines` are what the reader has to know before believing it."""

    title: str
    verdict: str
    status: str
    lines: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)


def write(page: Page, path: Path) -> None:
    """Raises OSError if it can't be written."""
    text = _template().render(vars(page) | {"style": _part("report.css")})
    write_atomically(path, text.encode(errors="replace"))


@cache
def _template():  # type: ignore[no-untyped-def]
    from jinja2 import Environment, StrictUndefined  # 0.1 s

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(_part("report.html"))


def _part(name: str) -> str:
    return (resources.files("digits.inspection") / "web" / name).read_text("utf-8")
