"""A run's page and its lines in a terminal: from folders that anyone may have made."""

import base64
import json
import re
import shutil
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

from digits.errors import InputError
from digits.inspection import preview, report
from support import findings
from support.runs import METRICS, made

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = "<img src=x onerror=window.hurt=1><script>window.hurt=1</script>"
TAGS = {"html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "p", "main", "img",
        "section", "div", "table", "thead", "tbody", "tr", "th", "td", "details", "summary",
        "pre"}  # fmt: skip


class Read(HTMLParser):
    """Which elements there are, their pictures, and the text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.pictures: dict[str, bytes] = {}
        self.text = ""
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = dict(attrs)
        if tag == "img":
            kind, _, packed = (given["src"] or "").partition(",")
            assert kind == "data:image/png;base64"
            self.pictures[given["alt"] or ""] = base64.b64decode(packed)

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"  # of a cell, and of the next


def page(folder: Path) -> Read:
    report.write(report.read(folder), folder / "report.html")
    return Read(folder / "report.html")


def test_it_has_figures_scores_settings_and_the_command(tmp_path: Path) -> None:
    folder = made(tmp_path / "run", ["model.optimizer.lr=0.01"], found=findings.evidence())
    read = page(folder)
    assert read.tags == TAGS
    assert list(read.pictures) == [
        "curves", "calibration", "samples", "confusion", "mistakes", "weights",
    ]  # fmt: skip
    for png in read.pictures.values():
        Image.open(BytesIO(png)).load()
    text = " ".join(read.text.split())
    assert "0.6250 of 8 test images right (95 %: 0.3057 to 0.8632)" in text
    assert "finished, 2 epochs, 3.2 s of training" in text
    assert "train/acc 0.7000" in text
    assert "python src/train.py model.optimizer.lr=0.01 seed=0" in text or "digits-train" in text
    assert "PyTorch 2.14.1" in text
    assert "seed: 0" in text
    assert "By class Of test images. class images precision recall F1" in text
    assert "cat 3 0.5000 0.3333 0.4000 dog 2 0.5000 1.0000 0.6667 owl 3 1.0000 0.6667" in text


@pytest.mark.parametrize(("is_clean", "said"), [(False, ", with other changes"), (True, "")])
def test_the_command_says_whether_the_commit_is_all_there_was(
    tmp_path: Path, is_clean: bool, said: str
) -> None:
    """Scores of classes are in their own table alone."""
    more = {"commit": "0123456789abcdef", "commit_is_clean": is_clean, "class/cat/f1": 0.4}
    text = page(made(tmp_path / "run", metrics=METRICS | more)).text
    assert re.search(rf"seed=0  # at commit 0123456789ab{said} ", text)
    assert "class/cat/f1" not in text


def test_a_run_that_was_killed_has_a_page_of_what_there_is(tmp_path: Path) -> None:
    folder = made(tmp_path / "run", status="running")
    (folder / "metrics.json").unlink()
    read = page(folder)
    assert list(read.pictures) == ["curves"]
    text = " ".join(read.text.split())
    assert "killed, 2 epochs" in text
    assert "training accuracy 0.7000" in text
    rows = "0,0.5,\n1,0.6,0.91\n2,0.7,\n3,0.8,0.90\n"  # validation every second epoch
    (folder / "metrics.csv").write_text(f"epoch,train/acc,val/acc\n{rows}")
    text = " ".join(page(folder).text.split())
    assert "validation accuracy 0.9100" in text
    assert "1 0.5000 2 0.6000 0.9100 3 0.7000 4 0.8000 0.9000" in text


def test_a_folder_that_leads_elsewhere_is_not_written_into(tmp_path: Path) -> None:
    folder = made(tmp_path / "run", found=findings.evidence())
    (tmp_path / "elsewhere").mkdir()
    (folder / "figures").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"figures: a link; expected a folder$"):
        report.write(report.read(folder), folder / "report.html", folder / "figures")
    assert not any((tmp_path / "elsewhere").iterdir())


def test_a_folder_of_hydras_alone_has_a_page_and_no_run_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "run" / ".hydra").mkdir(parents=True)
    assert "of unknown status" in page(tmp_path / "run").text
    for folder in (".", "nowhere"):
        with pytest.raises(InputError, match=r"no run's folder; expected one that .*train"):
            report.read(tmp_path / folder)


def hostile(folder: Path) -> Path:
    names = np.array(["<script>window.hurt=1</script>", "$\\frac{", "‮\x1b[31m"])
    metrics = METRICS | {HOSTILE: 1.0, "device": HOSTILE, "commit": HOSTILE, "tags": HOSTILE,
                         "torch": [HOSTILE], "test/acc": True, "fit_seconds": HOSTILE}  # fmt: skip
    made(folder, [f"tags={HOSTILE}"], metrics, found=findings.evidence(names_K=names),
         config={HOSTILE: HOSTILE})  # fmt: skip
    text = folder / "metrics.csv"
    text.write_text(f"epoch,train/{HOSTILE}\n0,1\n1,inf\n2,nan\n3,1e308\n")
    status = {"status": HOSTILE, "error": HOSTILE, "warning": HOSTILE}
    (folder / "status.json").write_text(json.dumps(status))
    (folder / "figures").mkdir()
    (folder / "figures" / "confusion.png").write_bytes(b"<script>")
    return folder


def test_somebodys_text_is_never_markup(tmp_path: Path) -> None:
    read = page(hostile(tmp_path / HOSTILE.replace("/", "")))
    assert read.tags == TAGS
    assert HOSTILE in read.text
    assert "\x1b" not in preview.of_run(report.read(next(tmp_path.iterdir())), 80)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium on the PATH")
def test_a_browser_without_network_shows_it_and_runs_nothing(tmp_path: Path) -> None:
    folder, wrong = hostile(tmp_path / "run"), list[str]()
    page(folder)
    url = (folder / "report.html").as_uri()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        shown = browser.new_page(offline=True, viewport={"width": 360, "height": 640})
        shown.on("request", lambda asked: wrong.append(asked.url))
        shown.on("console", lambda message: wrong.append(message.text))
        shown.goto(url)
        assert [each for each in wrong if not each.startswith("data:")] == [url]
        assert shown.evaluate("window.hurt") is None
        widths = shown.locator("img").evaluate_all("all => all.map(i => [i.naturalWidth, i.width])")
        assert len(widths) == 6
        assert all(natural > 100 and 100 < width <= 360 for natural, width in widths)
        assert shown.evaluate("document.documentElement.scrollWidth") <= 360
        browser.close()


DAMAGE = {
    "evidence.npz": b"PK",
    "metrics.csv": b"epoch,train/acc\n0,\xff\n",
    ".hydra/config.yaml": b"{[",
    ".hydra/overrides.yaml": b"{[",
}


def test_what_is_damaged_is_said_and_left_out(tmp_path: Path) -> None:
    folder = made(tmp_path / "run", found=findings.evidence())
    for name, content in DAMAGE.items():
        (folder / name).write_bytes(content)
    read = page(folder)
    for name in DAMAGE:
        assert re.search(rf"{re.escape(name)}.{{0,40}} damaged", read.text)
    assert "train/acc" in read.text


def test_a_colour_picture_in_a_terminal_is_dark_where_it_is_dark(tmp_path: Path) -> None:
    colours = np.full((3, 4, 4, 3), 255, np.uint8)
    colours[:, :2, :2] = 0, 60, 0  # a dark green corner on white
    folder = made(tmp_path / "run", found=findings.evidence(pictures_MHW=colours))
    lines = preview.of_run(report.read(folder), 20).splitlines()
    assert lines[5:8] == ["cat, not dog (99.0%)", "██", ""]


def test_a_terminal_shows_the_worst_mistakes(tmp_path: Path) -> None:
    corner = np.zeros((3, 4, 4), np.uint8)
    corner[0, 0, :2] = corner[0, 1:, 0] = 255  # an upper left corner, three pixels high below
    corner[1] = 255
    corner[2, 3, 3] = 255
    found = findings.evidence(pictures_MHW=corner)
    folder = made(tmp_path / "run", found=found)
    lines = preview.of_run(report.read(folder), 60).splitlines()
    assert lines[0].endswith("run: finished, 2 epochs, 3.2 s of training")
    assert lines[1:5] == [
        "0.6250 of 8 test images right (95 %: 0.3057 to 0.8632)",
        "cat and dog are confused most: 2 of 8",
        "Overconfident by 23.6 points: ECE 0.3613",
        "",
    ]
    assert lines[5:8] == [
        "cat, not dog (99.0%)  owl, not cat (80.0%)",
        "█▀                    ████",
        "█                     ████",
    ]
    assert lines[9:12] == ["cat, not dog (60.0%)", "", "   ▄"]


def test_a_warning_and_an_error_are_told(tmp_path: Path) -> None:
    folder = made(tmp_path / "run")
    status = {"status": "diverged", "error": "the loss is inf", "warning": "far above guessing"}
    (folder / "status.json").write_text(json.dumps(status))
    lines = preview.of_run(report.read(folder), 80).splitlines()
    assert lines[1:3] == ["note: the loss is inf", "note: far above guessing"]
    assert lines[3] == "test accuracy 0.6250"
    assert "far above guessing" in page(folder).text
