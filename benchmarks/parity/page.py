"""docs/parity.md and its figure, from the records alone."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from textwrap import fill
from typing import Any

from parity.equivalence import MARGIN, Difference, Summary, difference, summary
from parity.record import PLANNED, SIDES

DOCS = Path(__file__).parents[2] / "docs"
COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#7f7f7f",
)  # Okabe and Ito
LAST, MEAN = "at the end", "mean of eight looks"

Line = Mapping[str, Any]
Records = dict[str, dict[int, Line]]  # by side, of which one seed says nothing, and seed
Rows = Iterable[Sequence[str]]


def write(lines: Sequence[Line]) -> None:
    (DOCS / "parity.md").write_text(text(lines))
    draw(lines, DOCS / "parity.png")


def records(lines: Iterable[Line]) -> Records:
    found: Records = {}
    for line in lines:
        found.setdefault(line["side"], {})[line["seed"]] = line
    return {side: some for side, some in found.items() if side not in SIDES or len(some) > 1}


def scores(of_side: Mapping[int, Line], name: str) -> list[float]:
    """Return a score of each seed; `looks` is the mean of a seed's looks."""
    values = [of_side[seed][name] for seed in sorted(of_side)]
    return [fmean(value) if name == "looks" else value for value in values]


def text(lines: Sequence[Line]) -> str:
    found = records(lines)
    sides = [side for side in SIDES if side in found]
    ours = found["ours"]
    parts = [
        "# Parity",
        QUESTION,
        _answer(found),
        _cost(found, sides),
        _table(("", *COLUMNS), [_row(SIDES[side], found[side]) for side in sides]),
        UNDER_TABLE,
        _table(APART, [_compared(ours, SIDES[s], found[s]) for s in sides if s != "ours"]),
        "![Each seed; the differences; and how two losses part](parity.png)",
        WHAT_WAS_RUN + _checks(found),
        _rules(found),
        *_one_order(found),
        *_initialisation(found),
        *_trace(found),
        _seed(ours),
    ]
    return "\n\n".join(map(_wrapped, parts)) + "\n"


def _wrapped(part: str) -> str:
    """Fill the lines of paragraphs. Tables, lists and titles keep theirs."""
    return "\n\n".join(
        one if one[0] in "|!#-" else fill(one, 120, break_on_hyphens=False)
        for one in part.split("\n\n")
    )


QUESTION = """\
**Question.** Does this project (Hydra, Lightning, a step that is written out, an optimizer in one
pass) learn what a plain PyTorch loop and the book's Keras program learn by the same recipe?

**Command.** `python benchmarks/parity` (with the extra `bench` installed, or `--keras PYTHON`) runs
what benchmarks/results/parity.jsonl lacks, then writes this page and its figure from that file
alone. It goes on after a stop."""

COLUMNS = (
    "n", f"{MEAN} (95 %)", "sd", f"{LAST} (95 %)", "sd", "test loss", "loss, epoch 1",
    "accuracy, epoch 1",
)  # fmt: skip

APART = ("ours, less", f"{MEAN}, points", "TOST p", f"{LAST}, points", "TOST p", "")

UNDER_TABLE = """\
Accuracies are those of the 10,000 test images, in percent, after the fifth epoch; intervals are
Student's, of the mean; sd is the spread of seeds. One look at the end is luck: RMSprop moves on at
the same rate to the last step. So each seed is looked at eight times within its last epoch, at
equal distances, the last time at its end. Loss and accuracy of epoch 1 are means over the training
images while they are learned from, as Keras prints them.
Differences are in percentage points, with Welch's 95 % interval. TOST is two one-sided tests that
the difference is as large as 0.1 point; p below 0.05 shows that it is smaller."""

WHAT_WAS_RUN = """\
## What was run

- *Ours*: `src/train.py` in this process, by its settings as Hydra composes them, with our Trainer
  and the step written out. A callback looks; figures, logs and the report are off.
- *Bare PyTorch loop*: benchmarks/parity/bare.py, autograd and torch.optim.RMSprop over tensors in
  memory, with Glorot-uniform weights and zero biases, since the recipe (Keras's) says so. It shares
  no code with ours but the reader of MNIST's files.
- *Keras 3*: the book's program on TensorFlow's CPU build, `rmsprop` by its name; but each epoch has
  a `fit` and a seed of its own, so that a seed can be run again (see below).
- *Keras 3's rule* is emulated: the bare loop with another RMSprop of three lines.

Each side draws its own weights and orders from its seed: a seed's number means nothing across
sides. Each training had one thread. The book's Keras 2 was not run; its rule is torch's. Run again,
a seed gave the same weights, bit for bit: """


def _answer(found: Records) -> str:
    said = []
    for side in (name for name in NAMES if name in found):
        apart = _against(found["ours"], found[side], name="looks")
        verdict = "equivalent" if apart.is_equivalent else "not shown to be equivalent"
        said.append(f"ours and {NAMES[side]} are {verdict} within 0.1 point: {_apart(apart)}")
    return f"**Answer.** By the {MEAN}, {'; '.join(said)}."


NAMES = {"bare": "the bare loop", "keras": "Keras 3"}


def _apart(found: Difference) -> str:
    interval = f"{_points(found.low)} to {_points(found.high)}"
    return f"{_points(found.mean)} points ({interval}; TOST p {_p(found.tost)})"


def _cost(found: Records, sides: Iterable[str]) -> str:
    counts = {len(found[side]) for side in sides}
    n = f"{min(counts)}" if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
    if min(counts) < PLANNED:
        n += f" of the {PLANNED} planned"
    each = [f"{fmean(scores(found[side], 'cpu_seconds')):.0f}" for side in sides]
    hours = sum(sum(scores(some, "cpu_seconds")) for some in found.values()) / 3600
    return (
        f"**n** = {n} seeds a side. **Cost**: {hours:.1f} hours of CPU on a busy machine; "
        f"{', '.join(each)} seconds a seed, in the table's order."
    )


def _row(name: str, of_side: Mapping[int, Line]) -> list[str]:
    looks, last = summary(scores(of_side, "looks")), summary(scores(of_side, "acc"))
    return [
        name, str(looks.n), _interval(looks), f"{100 * looks.sd:.3f}",
        _interval(last), f"{100 * last.sd:.3f}",
        *(f"{fmean(scores(of_side, each)):.4f}" for each in ("loss", "first_loss", "first_acc")),
    ]  # fmt: skip


def _interval(found: Summary) -> str:
    return f"{100 * found.mean:.3f} ({100 * found.low:.3f}-{100 * found.high:.3f})"


def _compared(ours: Mapping[int, Line], name: str, other: Mapping[int, Line]) -> list[str]:
    looks, last = (_against(ours, other, name=each) for each in ("looks", "acc"))
    cells = []
    for found in (looks, last):
        cells += [f"{_points(found.mean)} ({_points(found.low)} to {_points(found.high)})"]
        cells += [_p(found.tost)]
    return [name, *cells, "equivalent" if looks.is_equivalent else "not shown"]


def _against(ours: Mapping[int, Line], other: Mapping[int, Line], name: str) -> Difference:
    return difference(scores(ours, name), scores(other, name))


def _points(fraction: float) -> str:
    return f"{100 * fraction:+.3f}"


def _p(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def _table(head: Sequence[str], rows: Rows) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def _checks(found: Records) -> str:
    """Say what was run again. Raises ValueError where the weights then differed."""
    again = {side: found[f"check_{side}"] for side in CHECKS if f"check_{side}" in found}
    for side, lines in again.items():
        for seed, line in lines.items():
            if line["weights"] != found[side.removesuffix("_plain")][seed]["weights"]:
                raise ValueError(f"{side}, seed {seed}: other weights when it was run again")
    said = "; ".join(CHECKS[side] for side in again)
    return f"{said or 'not tried'}."


CHECKS = {
    "ours": "ours, alone in a process instead of after others",
    "ours_plain": "ours as `src/train.py` comes, with figures, logs and report and without looks",
    "bare": "the bare loop, alone",
    "keras": "Keras, alone",
    "keras_seeded": "Keras with one order, alone",
}


def _rules(found: Records) -> str:
    sides = [side for side in ("ours", "bare", "bare_keras_rule", "keras") if side in found]
    rows = [
        [SIDES[side], RULES["keras" in side], *(_with_interval(found[side], s) for s in SCORES)]
        for side in sides
    ]
    parts = [RULE, _table(("", "divides by", *SCORES.values()), rows)]
    if {"keras", "bare_keras_rule"} <= found.keys():
        rule, torchs = found["bare_keras_rule"], found["bare"]
        first, last = (_against(rule, torchs, name=each) for each in ("first_loss", "loss"))
        apart = _apart(_against(found["keras"], rule, name="looks"))
        parts += [
            f"In the bare loop, Keras 3's rule changes epoch 1's loss by {_change(first)} and the"
            f" test loss by {_change(last)}. With its rule on both sides, Keras 3 less the bare"
            f" loop is {apart} in accuracy."
        ]
    return "\n\n".join(parts)


def _one_order(found: Records) -> list[str]:
    pairs = (("keras_seeded", "keras"), ("bare_one_order", "bare_keras_rule"))
    if not {side for pair in pairs for side in pair} <= found.keys():
        return []
    keras, bare = (_apart(_against(found[one], found[new], name="looks")) for one, new in pairs)
    last, bares = (_apart(_against(found[one], found[new], name="acc")) for one, new in pairs)
    return [
        ONE_ORDER,
        f"This costs accuracy within the epoch: Keras 3 with one order, less Keras 3 with new ones,"
        f" is {keras}; at the end, {last}. It is the order, not Keras: the bare loop with Keras 3's"
        f" rule and one order, less itself with new ones, is {bare}; at the end, {bares}.",
    ]


ONE_ORDER = """\
## A trap: Keras, once seeded, has one order

After `keras.utils.set_random_seed`, Keras 3 on TensorFlow shuffles all epochs of a `fit` alike: the
shuffle is an operation with a fixed seed, and each epoch's iterator starts it again. Without a
seed, as the book has it, each epoch has an order of its own, as ours and the bare loop have."""


def _change(found: Difference) -> str:
    return f"{found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f})"


SCORES = {"first_loss": "loss, epoch 1", "loss": "test loss", "looks": f"accuracy, {MEAN}"}
RULES = {False: "sqrt(v) + eps", True: "sqrt(v + eps)"}
RULE = """\
## One real difference: where eps stands

v is the running mean of squared gradients, eps is 1e-7 on all sides. Keras 3 divides a gradient by
sqrt(v + eps); torch, ours and the book's Keras divide by sqrt(v) + eps. For small gradients the
first is the smaller step: sqrt(1e-7) is 0.0003. The bare loop was run with both rules."""


def _with_interval(of_side: Mapping[int, Line], score: str) -> str:
    found = summary(scores(of_side, score))
    return f"{found.mean:.4f} ± {found.high - found.mean:.4f}"


def _initialisation(found: Records) -> list[str]:
    if "bare_torch_init" not in found:
        return []
    apart = _apart(_against(found["bare"], found["bare_torch_init"], name="looks"))
    return [
        "## Initialisation\n\n"
        "torch itself draws a layer's weights and biases uniformly within 1/sqrt(inputs); the loop"
        " of benchmarks/speed has it so. In accuracy, the bare loop by Keras's initialisation, less"
        f" the bare loop by torch's, is {apart}."
    ]


def _trace(found: Records) -> list[str]:
    if "trace" not in found:
        return []
    trace = found["trace"][0]
    if trace["weights"] != found["ours"][0]["weights"]:
        raise ValueError("the traced training did not end with the weights of ours, seed 0")
    apart, close = trace["apart"], trace["below_1e-6"]
    return [
        "## From one start, in one order\n\n"
        "From the weights and in the order of our seed 0, the losses of ours and of the bare loop"
        f" are {trace['after_200']['ours']:.0e} apart at most for 200 steps, and less than 1e-6 for"
        f" {close['ours']}. Then they part: by {apart['ours'][-1]:.3f} at most within 2,345 steps."
        " Both compute the same sums, rounded in another order. Rounding alone does this: if one"
        " of the bare loop's 407,050 weights starts as the next float, its losses are less than"
        f" 1e-6 apart for {close['nudged']} steps, and {apart['nudged'][-1]:.3f} at most in the"
        " end. The training that is traced here ends with the weights of our seed 0, bit for bit."
    ]


def _seed(ours: Mapping[int, Line]) -> str:
    last, looks = summary(scores(ours, "acc")), summary(scores(ours, "looks"))
    seen = scores(ours, "acc")
    return (
        "## What to expect from a seed\n\n"
        f"`python src/train.py seed=N` ends between {last.seed[0]:.4f} and {last.seed[1]:.4f} for"
        f" 19 of 20 seeds ({min(seen):.4f} to {max(seen):.4f} seen). So two recipes that are"
        f" compared by one seed each must be {1.96 * 2**0.5 * last.sd:.4f} apart to differ; by the"
        f" {MEAN}, {1.96 * 2**0.5 * looks.sd:.4f}."
    )


def draw(lines: Sequence[Line], path: Path) -> None:
    from matplotlib.figure import Figure

    found = records(lines)
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    seeds, apart, trace = figure.subplots(1, 3, width_ratios=(5, 4, 4))
    sides = [side for side in SIDES if side in found]
    for place, side in enumerate(sides):
        _draw_side(seeds, place, found[side])
        if side != "ours":
            gap = _against(found["ours"], found[side], name="looks")
            _draw_interval(apart, place, gap.mean, gap.low, gap.high)
    _name_sides(seeds, sides, f"test accuracy, %: {MEAN}")
    _name_sides(apart, sides, "ours less the side, points")
    apart.axvspan(-100 * MARGIN, 100 * MARGIN, color="#e3e6ea", zorder=0)
    apart.axvline(0, color="#5a6472", linewidth=0.8)
    if "trace" in found:
        _draw_trace(trace, found["trace"][0])
    figure.savefig(path, dpi=80, metadata={"Software": None})


def _draw_side(axes: Any, place: int, of_side: Mapping[int, Line]) -> None:
    values = scores(of_side, "looks")
    found = summary(values)
    spread = [place + 0.16 * ((7 * i) % 5 - 2) / 2 + 0.12 for i in range(len(values))]
    axes.plot([100 * v for v in values], spread, ".", color=COLOURS[place], alpha=0.5)
    _draw_interval(axes, place - 0.22, found.mean, found.low, found.high)


def _draw_interval(axes: Any, place: float, mean: float, low: float, high: float) -> None:
    axes.plot([100 * low, 100 * high], [place, place], "-", color="black", linewidth=1.5)
    axes.plot([100 * mean], [place], "D", color="black", markersize=4)


def _name_sides(axes: Any, sides: Sequence[str], title: str) -> None:
    names = [SIDES[side].replace("`", "").replace(", ", ",\n") for side in sides]
    axes.set_yticks(range(len(sides)), names, fontsize=8)
    axes.set_ylim(len(sides) - 0.5, -0.5)
    axes.set_title(title, fontsize=10)


def _draw_trace(axes: Any, trace: Line) -> None:
    labels = {"ours": "ours and bare", "nudged": "bare, one weight the next float"}
    for colour, (name, label) in zip(COLOURS, labels.items(), strict=False):
        shown = [value or None for value in trace["apart"][name]]  # 0 has no logarithm
        axes.loglog(trace["steps"], shown, color=colour, label=label)
    axes.axvline(200, color="#5a6472", linewidth=0.8, linestyle=":")
    axes.set_xlabel("step", fontsize=9)
    axes.set_title("largest difference of losses so far", fontsize=10)
    axes.legend(fontsize=8)
