"""How well each recipe reads digits that are turned, moved, thicker, noisy ..."""

import json
from functools import cache
from hashlib import sha256
from pathlib import Path

from matplotlib.figure import Figure

from digits.files import read_json, write_atomically
from digits.prediction import loading
from studies.figures import COLOURS, QUIET, line, sheet, titled
from studies.robustness import corruptions
from studies.robustness.corruptions import CORRUPTIONS, UNCHANGED, spoilt
from studies.study import LEAN, RECIPES, SEED, Jobs, Row, Study, images

CODE = sha256(Path(corruptions.__file__).read_bytes()).hexdigest()[:16]


def measure(jobs: Jobs, outputs: Path) -> list[Row]:
    """accuracies.json keeps what is known: to spoil the images takes minutes."""
    (images_NHW, labels_N), path = images("test"), outputs / "accuracies.json"
    known, rows, read = read_json(path, 1 << 26), [], cache(loading.from_file)
    for corruption in (UNCHANGED, *CORRUPTIONS):
        for strength in corruption.strengths:
            what = f"{corruption.name} {strength} {CODE}"
            ids = {f"{job.name} {job.ended} {what}": job for job in jobs[""]}
            if not ids.keys() <= known.keys():
                spoilt_NHW = spoilt(images_NHW, corruption, strength)
                for name, job in ids.items():
                    p_NK = read(str(job.run.last)).network(spoilt_NHW)
                    known[name] = float((p_NK.argmax(1) == labels_N).mean())
                write_atomically(path, json.dumps(known).encode())
            place = {"corruption": corruption.name, "strength": strength, "unit": corruption.unit}
            rows += [{"recipe": job.words["experiment"], SEED: job.words[SEED], **place,
                      "accuracy": known[name]} for name, job in ids.items()]  # fmt: skip
    return rows


def draw(rows: list[Row]) -> Figure:
    figure = sheet(14, 6)
    recipes = list(dict.fromkeys(row["recipe"] for row in rows))
    for axes, corruption in zip(figure.subplots(2, 5, sharey=True).flat, CORRUPTIONS, strict=True):
        for recipe, colour in zip(recipes, COLOURS, strict=False):
            its = [row for row in rows
                   if (row["recipe"], row["corruption"]) == (recipe, corruption.name)]  # fmt: skip
            points = [(row["strength"], 100 * row["accuracy"]) for row in its]
            line(axes, points, colour, recipe)
        titled(axes, corruption.name, corruption.unit, "")
        axes.axhline(90, color=QUIET, linewidth=0.6)
        axes.set_xticks(
            corruption.strengths, [f"{strength:g}" for strength in corruption.strengths]
        )
        axes.set_ylim(0, 102)
    figure.axes[-1].legend(frameon=False)
    figure.supylabel("right on the test images, %")
    return figure


STUDY = Study(
    words=(f"experiment={','.join(RECIPES)}", "data.val_size=0", "test=false", "seed=range(5)",
           *LEAN),
    by=["recipe", "corruption", "strength", "unit"],
    across="recipe",
    measure=measure,
    draw=draw,
)  # fmt: skip
