"""Several runs side by side, read from their folders as data. Shapes: N images."""

import statistics as mean_of
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from digits.inspection import figures, report, statistics
from digits.inspection.evidence import Evidence, Pixels
from digits.inspection.report import Figure, Findings, Page, Table
from digits.runs.run import STAGES
from digits.text import flat

NO_SETTINGS = ("paths", "hydra", "tags", "task_name", "resume", "sweep", "fail_fast", "ckpt_path",
               "optimized_metric")  # fmt: skip
MOST_LINES = 40  # curves of a panel
MOST_SHOWN = 40  # images on which the runs disagree

Scores = dict[tuple[str, ...], float]  # by values of the replicates


@dataclass(frozen=True)
class Compared:
    """`settings` are those that differ among the runs, by name; `labels` tell the runs apart."""

    runs: Sequence[Findings]
    settings: Sequence[Mapping[str, str]]
    labels: Sequence[str]

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys(name for settings in self.settings for name in settings))

    @property
    def of_the_same_images(self) -> list[Evidence]:
        """As the first one's that has evidence."""
        known = [findings.evidence for findings in self.runs if findings.evidence is not None]
        return [each for each in known if each.sees_the_same(known[0])]


def compare(runs: Sequence[Findings]) -> Compared:
    flattened = [dict(_flat(findings.run.config)) for findings in runs]
    names = dict.fromkeys(name for settings in flattened for name in settings)
    differ = [name for name in names
              if len({settings.get(name, "") for settings in flattened}) > 1]  # fmt: skip
    settings = [{name: each.get(name, "") for name in differ} for each in flattened]
    labels = [", ".join(f"{name.rpartition('.')[2]} {value}" for name, value in each.items())
              for each in settings]  # fmt: skip
    if len(set(labels)) < len(labels) or any(len(label) > 60 for label in labels):
        labels = [findings.run.path.name for findings in runs]
    if len(set(labels)) < len(labels):
        labels = [findings.name for findings in runs]
    return Compared(runs, settings, [flat(label)[:80] for label in labels])


def write(compared: Compared, path: Path) -> None:
    """Raises OSError if it can't be written."""
    report.write_page(of(compared), path)


def of(compared: Compared) -> Page:
    return Page(
        title=f"{len(compared.runs)} runs compared",
        verdict=verdict(compared),
        status=f"They differ in {', '.join(compared.names) or 'nothing that their settings tell'}.",
        lines=[f"{f.name}: {f.line}" for f in compared.runs if f.line],
        figures=list(_figures(compared)),
        tables=[_runs(compared), *_groups(compared), *_pair(compared)],
    )


def verdict(compared: Compared) -> str:
    scored = [(score, label) for score, label in zip(map(_accuracy, compared.runs),
              compared.labels, strict=True) if score is not None]  # fmt: skip
    if not scored:
        return "No accuracy was measured"
    best, label = max(scored, key=lambda pair: pair[0])
    return f"Best: {label} with {best:.4f}"


def _accuracy(findings: Findings) -> float | None:
    """What its evidence says or, without, its scores."""
    if findings.evidence is not None:
        return findings.evidence.accuracy
    return findings.run.accuracy[1] if findings.run.accuracy else None


def _measured_on(findings: Findings) -> str:
    if findings.evidence is not None:
        return figures.IMAGES_OF[str(findings.evidence.stage)]
    return f"{findings.run.accuracy[0]} images" if findings.run.accuracy else ""


def _flat(settings: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Settings by their names on the command line, as text."""
    for key, value in settings.items():
        name = f"{prefix}{flat(str(key))}"
        if name in NO_SETTINGS:
            continue
        if isinstance(value, dict):
            yield from _flat(value, f"{name}.")
        elif isinstance(value, str | int | float | None):
            yield name, flat(str(value))[:80]


def _runs(compared: Compared) -> Table:
    rows = []
    for findings, settings, label in zip(
        compared.runs, compared.settings, compared.labels, strict=True
    ):
        found, seconds, accuracy = findings.evidence, findings.run.seconds, _accuracy(findings)
        interval = statistics.wilson(found.correct, found.count) if found else None
        rows.append([
            label,
            *(settings[name] for name in compared.names),
            "" if accuracy is None else f"{accuracy:.4f}",
            "{:.4f} to {:.4f}".format(*interval) if interval else "",
            _measured_on(findings),
            "" if seconds is None else f"{seconds:.1f}",
            findings.run.status.status if findings.run.status else "",
        ])  # fmt: skip
    rows.sort(key=lambda row: row[-5], reverse=True)
    head = ("run", *compared.names, "accuracy", "95 % interval", "on", "seconds", "status")
    first = 1 + len(compared.names)
    note = "Intervals are Wilson's, of one network on that many images; seeds differ by more."
    return Table("Runs", rows, head, (first, first + 3), note)


def _groups(compared: Compared) -> Iterator[Table]:
    """Mean and interval over the replicates that differ, and how far behind the best."""
    told = compared.runs[0].run.config.get("replicates", ["seed"])
    over = [name for name in (told if isinstance(told, list) else [told]) if name in compared.names]
    if not over:
        return
    are_seeds, names = over == ["seed"], ", ".join(over)
    groups: dict[tuple[str, ...], Scores] = {}
    others = [name for name in compared.names if name not in over]
    for findings, settings in zip(compared.runs, compared.settings, strict=True):
        if (accuracy := _accuracy(findings)) is not None:
            values, replicate = (tuple(settings[n] for n in each) for each in (others, over))
            groups.setdefault(values, {})[replicate] = accuracy
    ranked = sorted(groups.items(), key=lambda pair: -mean_of.fmean(pair[1].values()))
    rows = [[*values, *_over(scores, ranked[0][1])] for values, scores in ranked]
    head = (*others, "seeds" if are_seeds else "runs", "mean accuracy", "standard deviation",
            "95 % interval of the mean", "difference to the first, 95 %", "p")  # fmt: skip
    note = (
        "Student's t, cut to what an accuracy can be; it takes what repetitions give for normally "
        f"distributed. Differences, and p, the t test's, are of pairs with the same {names}."
    )
    if len(groups) > 2:
        note += f" Of {len(groups) - 1} p, {(len(groups) - 1) * 0.05:.2g} are below 0.05 by chance."
    numbers = range(len(others), len(head))
    yield Table(f"Over {'seeds' if are_seeds else names}", rows, head, numbers, note)


def _over(scores: Scores, best: Scores) -> list[str]:
    found = list(scores.values())
    spread, interval = "", ""
    if len(found) > 1:
        low, high = statistics.students(found, 0, 1)
        spread, interval = f"{mean_of.stdev(found):.4f}", f"{low:.4f} to {high:.4f}"
    gap = None if scores is best else statistics.difference(scores, best, 1)
    p = "-" if gap is None or gap.p is None else f"{gap.p:.2g}"
    return [str(len(found)), f"{mean_of.fmean(found):.4f}", spread, interval, str(gap or "-"), p]


def _pair(compared: Compared) -> Iterator[Table]:
    """Of two runs alone: how surely one network is better than the other on these images."""
    found = compared.of_the_same_images
    if len(compared.runs) != 2 or len(found) != 2:
        return
    only_a, only_b, p = statistics.mcnemar(found[0].is_right_N, found[1].is_right_N)
    row = [*compared.labels, str(only_a), str(only_b), f"{p:.2g}"]
    note = (
        "McNemar's exact test of these two networks: how likely a split as uneven is if both are "
        "equally good. Of their settings it says nothing: for that, run each with several seeds."
    )
    head = ("A", "B", "only A is right", "only B is right", "p")
    yield Table("On which images they disagree", [row], head, (2, 3, 4), note)


def _figures(compared: Compared) -> Iterator[Figure]:
    lines: dict[str, dict[str, figures.Curve]] = {}
    for label, findings in zip(compared.labels[:MOST_LINES], compared.runs, strict=False):
        stage = "val" if any("val/acc" in s for s in findings.run.epochs.values()) else "train"
        for name, curves in figures.by_score({stage: label}, findings.run.epochs).items():
            lines.setdefault(f"{STAGES[stage]} {name}", {}).update(curves)
    if lines:
        picture = figures.curves(dict(list(lines.items())[:4]), verdict(compared))
        yield Figure("curves of all runs", figures.png(picture), is_wide=True)
    if divided_on := _disagreements(compared):
        yield Figure("images on which the runs disagree", figures.png(divided_on), is_wide=True)


def _disagreements(compared: Compared) -> Image.Image | None:
    """If the runs have kept pictures of them, of one shape."""
    shown, captions, title = divided(compared)
    if len({picture.shape for picture in shown.values()}) != 1:
        return None
    tiles = np.stack(list(shown.values()))
    return figures.small(tiles, figures.mistaken(captions), title, 8)


def divided(compared: Compared) -> tuple[dict[int, Pixels], list[tuple[str, str]], str]:
    """The images on which they are most divided, by their places, as far as there is a picture;
    what each is and was taken for; how many there are.
    """
    found = compared.of_the_same_images
    if len(found) < 2:
        return {}, [], ""
    right_N = np.sum([each.is_right_N for each in found], axis=0)
    some = np.flatnonzero((right_N > 0) & (right_N < len(found)))
    order = some[np.argsort(np.abs(right_N[some] - len(found) / 2), kind="stable")]
    kept: dict[int, Pixels] = {}
    for each in found:
        kept |= zip(each.shown_M.tolist(), each.pictures_MHW, strict=True)
    shown = {place: kept[place] for place in order.tolist() if place in kept}
    shown = dict(list(shown.items())[:MOST_SHOWN])
    captions = []
    for place in shown:
        said = [each.name(int(each.predicted_N[place])) for each in found]
        text = " / ".join(said) if len(found) <= 3 else f"{right_N[place]} of {len(found)} right"
        captions.append((found[0].name(int(found[0].labels_N[place])), text))
    count = f"{len(some):,} of {found[0].count:,}"
    return shown, captions, f"{count} images are right in some runs, wrong in others"
