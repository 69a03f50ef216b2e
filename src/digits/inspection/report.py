"""A run's report: read from its folder as data, finished or not; nothing in it is run. It is one
HTML file, without a script, and nothing from any network. All in it is text.
"""

import base64
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml

from digits.errors import InputError
from digits.files import called, relative, write_atomically
from digits.inspection import evidence, figures, statistics
from digits.inspection.evidence import Evidence
from digits.runs import recorded, run
from digits.runs.folder import RunFolder
from digits.runs.monitors import BEST
from digits.runs.run import Run
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
    """In all columns but the first are numbers, if it has a head."""

    title: str
    rows: Sequence[Sequence[str]]
    head: Sequence[str] = ()
    note: str = ""


@dataclass(frozen=True)
class Page:
    """`lines` are what the reader has to know before believing it; `figures` are PNGs by name."""

    title: str
    verdict: str
    status: str
    lines: Sequence[str]
    figures: Mapping[str, bytes]
    tables: Sequence[Table]
    command: str = ""
    settings: str = ""


@dataclass(frozen=True)
class Findings:
    """A run and what there is to show of it. `lines` say what could not be read, and what went
    wrong or is doubtful.
    """

    run: Run
    evidence: Evidence | None
    lines: Sequence[str]

    @property
    def name(self) -> str:
        return flat(relative(self.run.path))

    @property
    def accuracy(self) -> float | None:
        """What its evidence says or, without, its scores."""
        if self.evidence is not None:
            return self.evidence.accuracy
        return self.run.accuracy[1] if self.run.accuracy else None


def read(folder: Path) -> Findings:
    """Raises InputError if there is no run. What is damaged in it is said and left out."""
    files, lines = RunFolder(folder), list[str]()
    if not folder.is_dir() or not files.has_run():
        raise InputError(f"{folder}: no run's folder; expected one that {called('train')} wrote")

    def tried(read: Callable[[Any], T], where: Any, otherwise: T) -> T:
        try:
            return read(where)
        except InputError as error:
            lines.append(flat(str(error)))
            return otherwise

    status = files.status()
    found = tried(evidence.read, files.evidence, None)
    words = tried(recorded.words, files, list[str]()) if files.overrides.is_file() else []
    config = tried(recorded.config, files, dict[str, Any]())
    whole = Run(folder, status, words, config, files.measured(), tried(run.epochs, files, {}))
    said = (status.error, status.warning) if status else ()
    return Findings(whole, found, [*lines, *(flat(line) for line in said if line)])


def write(findings: Findings, path: Path, folder: Path | None = None) -> Page:
    """The page and, in `folder`, its figures as PNG. Raises OSError if they can't be written, and
    InputError if the folder is a link: somebody else's run may have it lead anywhere.
    """
    page = of(findings)
    if folder is not None:
        if folder.is_symlink():
            raise InputError(f"{folder}: a link; expected a folder")
        for name, png in page.figures.items():
            write_atomically(folder / f"{name}.png", png)
    write_page(page, path)
    return page


def of(findings: Findings) -> Page:
    run, found = findings.run, findings.evidence
    settings = yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True)
    tables = [scores(run), *([by_class(found)] if found else []), by_epoch(run), facts(run)]
    return Page(
        title=f"Run {findings.name}",
        verdict=verdict(findings),
        status=how_it_went(run),
        lines=findings.lines,
        figures={name: figures.png(picture)
                 for name, picture in figures.figures(found, run.epochs, run.numbers)},
        tables=[table for table in tables if table.rows],
        command=command(run),
        settings=settings if run.config else "",
    )  # fmt: skip


def verdict(findings: Findings) -> str:
    """The accuracy, and how surely."""
    found = findings.evidence
    if found is not None:
        low, high = statistics.wilson(found.correct, found.count)
        what = f"{found.accuracy:.4f} of {found.count:,} {found.images} right"
        return f"{what} (95 %: {low:.4f} to {high:.4f})"
    if findings.run.accuracy:
        return "{} accuracy {:.4f}".format(*findings.run.accuracy)
    return "No accuracy was measured"


def how_it_went(finished: Run) -> str:
    """Its status, epochs and time, in a line."""
    parts = [finished.status.status if finished.status else "of unknown status"]
    epochs = finished.numbers.get("epochs") or len(finished.epochs)
    if epochs:
        parts.append(f"{epochs:.0f} epoch{'s' if epochs != 1 else ''}")
    if finished.seconds is not None:
        parts.append(f"{finished.seconds:.1f} s of training")
    if device := finished.metrics.get("device"):
        parts.append(flat(str(device))[:80])
    return ", ".join(parts)


def scores(finished: Run) -> Table:
    """Last values and best ones, side by side."""
    metrics = finished.numbers
    told = (name for name in metrics if name not in WORDS and not name.startswith(BY_CLASS))
    names = sorted({name.removesuffix(BEST) for name in told})[:MOST_ROWS]
    rows = [[flat(name), _rounded(metrics.get(name)), _rounded(metrics.get(name + BEST))]
            for name in names]  # fmt: skip
    return Table("Scores", rows, ("", "last", "best"))


def by_class(found: Evidence) -> Table:
    """Those there are images or predictions of."""
    counts_KK = found.counts_KK
    rows = [
        [flat(found.name(label)), f"{counts_KK[label].sum():,}",
         *(_rounded(score) if score == score else "-" for score in scores_S)]
        for label, scores_S in enumerate(statistics.by_class(counts_KK))
        if counts_KK[label].any() or counts_KK[:, label].any()
    ]  # fmt: skip
    head = ("class", "images", "precision", "recall", "F1")
    return Table("By class", rows[:MOST_ROWS], head, f"Of {found.images}.")


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
    return Table("Scores by epoch", rows, ("epoch", *map(flat, names)))


def facts(finished: Run) -> Table:
    rows = [
        [word, flat(str(finished.metrics[name]))[:200]]
        for name, word in WORDS.items()
        if isinstance(finished.metrics.get(name), str | int | float)
    ]
    return Table("Facts", rows)


def command(finished: Run) -> str:
    """What does it again."""
    words = [flat(word) for word in finished.overrides]
    seed = finished.metrics.get("seed")
    if isinstance(seed, int) and not any(word.startswith("seed=") for word in words):
        words.append(f"seed={seed}")
    typed = shlex.split(str(finished.metrics.get("command", "")))
    flags = [flat(word) for word in typed if word.startswith("--config-dir=")]
    said = f"{called('train')} {shlex.join([*flags, *words])}".rstrip()
    commit = finished.metrics.get("commit")
    if isinstance(commit, str):
        clean = "" if finished.metrics.get("commit_is_clean") else ", with other changes"
        said += f"  # at commit {flat(commit)[:12]}{clean}"
    return said


def write_page(page: Page, path: Path) -> None:
    """Raises OSError if it can't be written."""
    write_atomically(path, _template().render(vars(page)).encode(errors="replace"))


@cache
def _template():  # type: ignore[no-untyped-def]
    from jinja2 import Environment, PackageLoader, StrictUndefined  # 0.1 s

    web = PackageLoader("digits.inspection", "web")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, loader=web
    )
    environment.filters["base64"] = lambda png: base64.b64encode(png).decode()
    return environment.get_template("report.html")
