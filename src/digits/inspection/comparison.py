"""Several runs side by side, read from their folders as data. Shapes: N images."""

import statistics as mean_of
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from digits.inspection import figures, statistics
from digits.inspection.evidence import Evidence, Pixels
from digits.inspection.report import Findings, Page, Table
from digits.runs.run import STAGES
from digits.text import flat

NO_SETTINGS = ("paths", "hydra", "tags", "task_name", "resume", "sweep", "fail_fast", "ckpt_path",
               "optimized_metric")  # fmt: skip
MOST_LINES = 40  # curves of a panel
MOST_SHOWN = 40  # images on which the runs disagree
LONGEST = 80  # characters of a value

Scores = dict[tuple[str, ...], float]  # by values of the replicates
Settings = Mapping[str, str]


@dataclass(frozen=True)
class Compared:
    """A run, those of its settings that differ among the runs, and a label that tells it apart."""

    findings: Findings
    settings: Settings
    label: str


def compare(runs: Sequence[Findings]) -> list[Compared]:
    flattened = [dict(_flat(findings.run.config)) for findings in runs]
    names = dict.fromkeys(name for settings in flattened for name in settings)
    differ = [name for name in names if len({each.get(name, "") for each in flattened}) > 1]
    settings = [{name: each.get(name, "") for name in differ} for each in flattened]
    by_settings = [", ".join(f"{name.rpartition('.')[2]} {value}" for name, value in each.items())
                   for each in settings]  # fmt: skip
    choices = [labels for labels in (by_settings, [findings.run.path.name for findings in runs])
               if len(set(labels)) == len(runs) and max(map(len, labels)) <= 60]  # fmt: skip
    labels = [*choices, [findings.name for findings in runs]][0]
    return [Compared(run, each, flat(label)[:LONGEST])
            for run, each, label in zip(runs, settings, labels, strict=True)]  # fmt: skip


def _flat(settings: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Settings by their names on the command line, as text."""
    for key, value in settings.items():
        name = f"{prefix}{flat(str(key))}"
        if isinstance(value, dict) and name not in NO_SETTINGS:
            yield from _flat(value, f"{name}.")
        elif isinstance(value, str | int | float | None) and name not in NO_SETTINGS:
            yield name, flat(str(value))[:LONGEST]


def of(runs: Sequence[Compared]) -> Page:
    names = ", ".join(runs[0].settings) or "nothing that their settings tell"
    return Page(
        title=f"{len(runs)} runs compared",
        verdict=verdict(runs),
        status=f"They differ in {names}.",
        lines=[f"{run.findings.name}: {line}" for run in runs for line in run.findings.lines],
        figures=dict(_figures(runs)),
        tables=[_runs(runs), *_groups(runs), *_pair(runs)],
    )


def verdict(runs: Sequence[Compared]) -> str:
    scored = [
        (run.findings.accuracy, run.label) for run in runs if run.findings.accuracy is not None
    ]
    if not scored:
        return "No accuracy was measured"
    best, label = max(scored, key=lambda pair: pair[0])
    return f"Best: {label} with {best:.4f}"


def _runs(runs: Sequence[Compared]) -> Table:
    """The best ones first."""
    ranked = sorted(runs, key=lambda run: run.findings.accuracy or 0.0, reverse=True)
    head = ("run", *runs[0].settings, "accuracy", "95 % interval", "on", "seconds", "status")
    note = "Intervals are Wilson's, of one network on that many images; seeds differ by more."
    rows = [[run.label, *run.settings.values(), *_measured(run.findings)] for run in ranked]
    return Table("Runs", [*rows, *_ensemble(runs)], head, note)


def _ensemble(runs: Sequence[Compared]) -> Iterator[list[str]]:
    """A row for the mean of the probabilities that the runs give to the same images."""
    found = [each for each in _of_the_same_images(runs) if each.probabilities_NP.size]
    if len(found) < 2 or len({(str(e.stage), e.probabilities_NP.shape) for e in found}) > 1:
        return
    sum_NP = sum(each.probabilities_NP for each in found)
    right, count = int((np.argmax(sum_NP, 1) == found[0].labels_N).sum()), found[0].count
    interval = _interval(statistics.wilson(right, count))
    blanks = [""] * len(runs[0].settings)
    name = f"ensemble of {len(found)}: their mean probabilities"
    yield [name, *blanks, f"{right / count:.4f}", interval, found[0].images, "", ""]


def _measured(findings: Findings) -> list[str]:
    """Accuracy, interval, of what, seconds and status."""
    found, run, accuracy = findings.evidence, findings.run, findings.accuracy
    of = found.images if found else f"{run.accuracy[0]} images" if run.accuracy else ""
    return [
        "" if accuracy is None else f"{accuracy:.4f}",
        _interval(statistics.wilson(found.correct, found.count)) if found else "",
        of,
        "" if run.seconds is None else f"{run.seconds:.1f}",
        run.status.status if run.status else "",
    ]


def _interval(bounds: tuple[float, float]) -> str:
    return "{:.4f} to {:.4f}".format(*bounds)


def _groups(runs: Sequence[Compared]) -> Iterator[Table]:
    """Mean and interval over the replicates that differ, and how far behind the best."""
    told = runs[0].findings.run.config.get("replicates", ["seed"])
    differ = runs[0].settings
    over = [name for name in (told if isinstance(told, list) else [told]) if name in differ]
    if not over:
        return
    others = [name for name in differ if name not in over]
    groups: dict[tuple[str, ...], Scores] = {}
    for run in runs:
        if run.findings.accuracy is not None:
            values, replicate = (tuple(run.settings[n] for n in names) for names in (others, over))
            groups.setdefault(values, {})[replicate] = run.findings.accuracy
    ranked = sorted(groups.items(), key=lambda pair: -mean_of.fmean(pair[1].values()))
    rows = [[*values, *_over(scores, ranked[0][1])] for values, scores in ranked]
    names, many = ", ".join(over), "seeds" if over == ["seed"] else "runs"
    head = (*others, many, "mean accuracy", "standard deviation", "95 % interval of the mean",
            "difference to the first, 95 %", "p")  # fmt: skip
    note = (
        "Student's t, cut to what an accuracy can be; it takes what repetitions give for normally "
        f"distributed. Differences, and p, the t test's, are of pairs with the same {names}."
    )
    if len(groups) > 2:
        note += f" Of {len(groups) - 1} p, {(len(groups) - 1) * 0.05:.2g} are below 0.05 by chance."
    yield Table(f"Over {many if many == 'seeds' else names}", rows, head, note)


def _over(scores: Scores, best: Scores) -> list[str]:
    found = list(scores.values())
    mean, spread, interval = f"{mean_of.fmean(found):.4f}", "", ""
    if len(found) > 1:
        spread = f"{mean_of.stdev(found):.4f}"
        interval = _interval(statistics.students(found, 0, 1))
    gap = None if scores is best else statistics.difference(scores, best, 1)
    p = "-" if gap is None or gap.p is None else f"{gap.p:.2g}"
    return [str(len(found)), mean, spread, interval, str(gap or "-"), p]


def _of_the_same_images(runs: Sequence[Compared]) -> list[Evidence]:
    """As the first one's that has evidence, as far as their labels can tell."""
    known = [run.findings.evidence for run in runs if run.findings.evidence is not None]
    return [each for each in known if np.array_equal(each.labels_N, known[0].labels_N)]


def _pair(runs: Sequence[Compared]) -> Iterator[Table]:
    """Of two runs alone: how surely one network is better than the other on these images."""
    found = _of_the_same_images(runs)
    if len(runs) != 2 or len(found) != 2:
        return
    only_a, only_b, p = statistics.mcnemar(found[0].is_right_N, found[1].is_right_N)
    row = [*(run.label for run in runs), str(only_a), str(only_b), f"{p:.2g}"]
    note = (
        "McNemar's exact test of these two networks: how likely a split as uneven is if both are "
        "equally good. Of their settings it says nothing: for that, run each with several seeds."
    )
    head = ("A", "B", "only A is right", "only B is right", "p")
    yield Table("On which images they disagree", [row], head, note)


def _figures(runs: Sequence[Compared]) -> Iterator[tuple[str, bytes]]:
    lines: dict[str, dict[str, Mapping[float, float]]] = {}
    for run in runs[:MOST_LINES]:
        epochs = run.findings.run.epochs
        stage = "val" if any("val/acc" in scores for scores in epochs.values()) else "train"
        for name, curves in figures.by_score({stage: run.label}, epochs).items():
            lines.setdefault(f"{STAGES[stage]} {name}", {}).update(curves)
    if lines:
        picture = figures.curves(dict(list(lines.items())[:4]), verdict(runs))
        yield "curves of all runs", figures.png(picture)
    shown, captions, title = divided(_of_the_same_images(runs))
    if len({picture.shape for picture in shown.values()}) == 1:
        picture = figures.small(np.stack(list(shown.values())), captions, title)
        yield "images on which the runs disagree", figures.png(picture)


def divided(found: Sequence[Evidence]) -> tuple[dict[int, Pixels], list[tuple[str, str]], str]:
    """The images on which they are most divided, by their places, as far as there is a picture;
    what each is and was taken for; how many there are.
    """
    if len(found) < 2:
        return {}, [], ""
    right_N = np.sum([each.is_right_N for each in found], axis=0)
    some = np.flatnonzero((right_N > 0) & (right_N < len(found)))
    order = some[np.argsort(np.abs(right_N[some] - len(found) / 2), kind="stable")]
    kept: dict[int, Pixels] = {}
    for each in found:
        kept |= zip(each.shown_M.tolist(), each.pictures_MHW, strict=True)
    places = [place for place in order.tolist() if place in kept][:MOST_SHOWN]
    captions = []
    for place in places:
        said = [each.name(each.predicted_N[place]) for each in found]
        text = " / ".join(said) if len(found) <= 3 else f"{right_N[place]} of {len(found)} right"
        captions.append((found[0].name(found[0].labels_N[place]), text))
    count = f"{len(some):,} of {found[0].count:,}"
    shown = {place: kept[place] for place in places}
    return shown, captions, f"{count} images are right in some runs, wrong in others"
