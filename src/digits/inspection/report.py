"""A run's report: read from its folder as data, finished or not; nothing in it is run. It is one
HTML file, without a script, and nothing from any network. All in it is text.
"""

import base64
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml

from digits.errors import InputError
from digits.files import called, relative, write_atomically
from digits.inspection import evidence, figures, statistics
from digits.inspection.evidence import Evidence
from digits.inspection.figures import IMAGES_OF
from digits.runs import recorded, run
from digits.runs.folder import RunFolder
from digits.runs.run import BEST, Run
from digits.text import flat

WORDS = {  # of metrics.json, beside scores
    "epochs": "epochs", "ended": "ended by", "fit_seconds": "seconds of training",
    "epoch_seconds": "seconds an epoch (median)", "images_per_second": "images a second",
    "parameters": "parameters", "seed": "seed", "tags": "tags", "device": "device",
    "matmuls": "products", "python": "Python", "torch": "PyTorch", "lightning": "Lightning",
    "date": "date", "commit": "commit", "commit_is_clean": "without other changes",
    "ckpt_path": "checkpoint",
}  # fmt: skip
MOST_ROWS = 200
MOST_EPOCHS = 50
MOST_SCORES = 12  # columns

BY_CLASS = "class/"  # of metrics.json: a class's precision, recall and F1

T = TypeVar("T")


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


@dataclass(frozen=True)
class Findings:
    """A run and what there is to show of it. `line` says what could not be read."""

    run: Run
    evidence: Evidence | None
    line: str | None

    @property
    def name(self) -> str:
        return relative(self.run.path)


def read(folder: Path) -> Findings:
    """Raises InputError if there is no run. What is damaged in it is said and left out."""
    files = RunFolder(folder)
    if not folder.is_dir() or not files.has_run():
        raise InputError(f"{folder}: no run's folder; expected one that {called('train')} wrote")
    found, line = _tried(evidence.read, files.evidence, None)
    findings = with_evidence(folder, found)
    return replace(findings, line="; ".join(filter(None, (line, findings.line))) or None)


def with_evidence(folder: Path, found: Evidence | None) -> Findings:
    """The rest of a run whose evidence is at hand."""
    files = RunFolder(folder)
    words, line = (
        _tried(recorded.words, files, list[str]()) if files.overrides.is_file() else ([], None)
    )
    config, another = _tried(recorded.config, files, dict[str, Any]())
    epochs, third = _tried(run.epochs, files, dict[int, run.Metrics]())
    whole = Run(folder, files.status(), words, config, files.measured(), epochs)
    return Findings(whole, found, "; ".join(filter(None, (line, another, third))) or None)


def _tried(of: Callable[[Any], T], where: Any, otherwise: T) -> tuple[T, str | None]:
    try:
        return of(where), None
    except InputError as error:
        return otherwise, flat(str(error))


def write(findings: Findings, path: Path, folder: Path | None = None) -> None:
    """The page and, in `folder`, its figures as PNG. Raises OSError if they can't be written, and
    InputError if the folder is a link: somebody else's run may have it lead anywhere.
    """
    if folder is not None and folder.is_symlink():
        raise InputError(f"{folder}: a link; expected a folder")
    shown = list(drawn(findings))
    write_page(of(findings, shown), path)
    if folder is not None:
        for figure in shown:
            write_atomically(folder / f"{figure.name}.png", figure.png)


def of(findings: Findings, shown: list[Figure], status: str | None = None) -> Page:
    """The page, with figures that were drawn; `status` is the run's, if it is about to end."""
    said = findings.run.status
    lines = [findings.line, said and said.error, said and said.warning]
    return Page(
        title=f"Run {flat(findings.name)}",
        verdict=verdict(findings),
        status=how_it_went(findings, status),
        lines=[flat(line) for line in lines if line],
        figures=shown,
        tables=[
            scores(findings),
            *([by_class(findings.evidence)] if findings.evidence else []),
            by_epoch(findings.run),
            facts(findings.run),
        ],
        texts=list(texts(findings.run)),
    )


def verdict(findings: Findings) -> str:
    """The accuracy, and how surely."""
    found = findings.evidence
    if found is not None:
        low, high = statistics.wilson(found.correct, found.count)
        what = f"{found.accuracy:.4f} of {found.count:,} {IMAGES_OF[str(found.stage)]} right"
        return f"{what} (95 %: {low:.4f} to {high:.4f})"
    if findings.run.accuracy:
        return "{} accuracy {:.4f}".format(*findings.run.accuracy)
    return "No accuracy was measured"


def how_it_went(findings: Findings, status: str | None = None) -> str:
    """Its status, epochs and time, in a line."""
    said = findings.run.status
    parts = [status or (said.status if said else "of unknown status")]
    epochs = findings.run.numbers.get("epochs") or len(findings.run.epochs)
    if epochs:
        parts.append(f"{epochs:.0f} epoch{'s' if epochs != 1 else ''}")
    if findings.run.seconds is not None:
        parts.append(f"{findings.run.seconds:.1f} s of training")
    if device := findings.run.metrics.get("device"):
        parts.append(flat(str(device))[:80])
    return ", ".join(parts)


def drawn(findings: Findings) -> Iterator[Figure]:
    run = findings.run
    for name, picture in figures.figures(findings.evidence, run.epochs, run.numbers):
        yield Figure(name, figures.png(picture), is_wide=name == "curves")


def scores(findings: Findings) -> Table:
    """Last values and best ones, side by side."""
    metrics = findings.run.numbers
    told = (name for name in metrics if name not in WORDS and not name.startswith(BY_CLASS))
    names = sorted(name.removesuffix(BEST) for name in told)
    rows = []
    for name in dict.fromkeys(names):
        values = (metrics.get(key) for key in (name, name + BEST))
        rows.append([flat(name), *map(_rounded, values)])
    return Table("Scores", rows[:MOST_ROWS], ("", "last", "best"), (1, 2))


def by_class(found: Evidence) -> Table:
    """Those there are images or predictions of."""
    counts_KK = statistics.confusion(found.labels_N, found.predicted_N, len(found.names_K))
    scores_KS = statistics.by_class(counts_KK)
    rows = [
        [flat(found.name(label)), f"{counts_KK[label].sum():,}",
         *(_rounded(score) if score == score else "-" for score in scores_KS[label])]
        for label in range(len(counts_KK)) if counts_KK[label].any() or counts_KK[:, label].any()
    ]  # fmt: skip
    head = ("class", "images", "precision", "recall", "F1")
    note = f"Of {IMAGES_OF[str(found.stage)]}."
    return Table("By class", rows[:MOST_ROWS], head, range(1, 5), note)


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def by_epoch(finished: Run) -> Table:
    """The last ones, if there are many."""
    last = sorted(finished.epochs)[-MOST_EPOCHS:]
    names = sorted({name for epoch in last for name in finished.epochs[epoch]})[:MOST_SCORES]
    rows = [
        [str(epoch + 1), *(_rounded(finished.epochs[epoch].get(name)) for name in names)]
        for epoch in last
    ]
    head = ("epoch", *map(flat, names))
    return Table("Scores by epoch", rows, head, range(len(head)))


def facts(finished: Run) -> Table:
    rows = [
        [word, flat(str(finished.metrics[name]))[:200]]
        for name, word in WORDS.items()
        if isinstance(finished.metrics.get(name), str | int | float)
    ]
    return Table("Facts", rows)


def texts(finished: Run) -> Iterator[Text]:
    yield Text("The command that does it again", command(finished), is_open=True)
    if finished.config:
        words = yaml.safe_dump(finished.config, sort_keys=False, allow_unicode=True)
        yield Text("Settings", words)


def command(finished: Run) -> str:
    words = [flat(word) for word in finished.overrides]
    seed = finished.metrics.get("seed")
    if isinstance(seed, int) and not any(word.startswith("seed=") for word in words):
        words.append(f"seed={seed}")
    said = f"{called('train')} {shlex.join(words)}".rstrip()
    commit = finished.metrics.get("commit")
    if isinstance(commit, str):
        clean = "" if finished.metrics.get("commit_is_clean") else ", with other changes"
        said += f"  # at commit {flat(commit)[:12]}{clean}"
    return said


def write_page(page: Page, path: Path) -> None:
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
