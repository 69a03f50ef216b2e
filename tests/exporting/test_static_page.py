"""The page in one file: what the command says, and in Chromium, from the disk, offline."""

import base64
import re
import shutil
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, expect, sync_playwright

from digits.data import idx
from digits.data.mnist import TEST
from digits.exporting import small
from digits.files import ROBUST
from digits.model.classifier import DigitClassifier
from digits.prediction import loading
from support import hostile
from support.commands import EMBEDDED, tool
from support.image_files import encoded
from support.serving import SEVEN, Reading

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
in_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium on the PATH")


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web") / "site"
    code, out, err = tool("export", "--format", "web", "--output", str(folder))
    assert (code, err) == (0, "")
    assert out == f"{folder / 'index.html'}  0.6 MB\n"
    assert [each.name for each in folder.iterdir()] == ["index.html"]
    return folder / "index.html"


def test_all_is_in_one_file(page_file: Path) -> None:
    """A link is to a place in the page, or has its content in it."""
    html = page_file.read_text()
    assert re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', html) == []
    assert re.findall(r"^(?:import|export) .*", html, re.MULTILINE) == []
    assert "robust, which reads 98.94 % of 10,000 test images" in html


def test_robust_is_the_default_and_has_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = (0, "outputs/web/index.html  0.6 MB\n", "")
    assert tool("export", "--format", "web") == expected
    assert tool("export", "--format", "web", "--ckpt", "robust") == expected


def test_a_run_has_its_page_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ckpt = tmp_path / "run" / "checkpoints" / "last.ckpt"
    ckpt.parent.mkdir(parents=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ckpt.write_bytes(hostile.saved(hostile.content()))
    code, out, err = tool("export", "--format", "web", "--ckpt", str(ckpt))
    assert code == 1  # it is untrained, so that int8 changes many answers
    assert out.startswith("answers that change ")
    assert err == "error: it differs from the checkpoint; nothing is written\n"
    assert not (tmp_path / "run" / "export").exists()
    monkeypatch.setattr(small, "MOST_CHANGED", 0.02)
    code, out, err = tool("export", "--format", "web", "--ckpt", str(ckpt))
    assert (code, err) == (0, "")
    path = tmp_path / "run" / "export" / "web" / "index.html"
    assert out.endswith(f"\n{path}  0.1 MB\n")
    html = path.read_text()
    assert "by last.ckpt. Nothing" in html
    assert str(tmp_path) not in html


def test_wrong_words_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    said = tool("export", "--format", "web", "--output", str(tmp_path / "x"))
    assert said == (2, "", f"error: --output {tmp_path / 'x'}: a file; expected a folder\n")
    said = tool("export", "--format", "int8", "--ckpt", "robust")
    expected = "--ckpt robust: --format int8 takes a checkpoint's path, or latest"
    assert said == (2, "", f"error: {expected}\n")
    cnn = tmp_path / "cnn.ckpt"
    content = hostile.content(
        state_dict=DigitClassifier(8, filters=4).state_dict(),
        hyper_parameters={"hidden_size": 8, "filters": 4},
    )
    cnn.write_bytes(hostile.saved(content))
    said = tool("export", "--format", "web", "--ckpt", str(cnn))
    expected = f"--format web --ckpt {cnn}: expected a network of one hidden layer of ReLUs"
    assert said == (2, "", f"error: {expected}\n")


Points = list[tuple[float, float]]
STROKES: list[list[Points]] = [
    [[(140, 40), (80, 60), (60, 140), (85, 220), (140, 240), (200, 215), (215, 100), (140, 40)]],
    [[(110, 80), (145, 45), (145, 240)]],
    [[(75, 90), (100, 50), (160, 45), (195, 90), (160, 150), (75, 230), (210, 230)]],
    [[(80, 60), (150, 42), (190, 85), (130, 135), (195, 175), (170, 230), (80, 225)]],
    [[(90, 50), (70, 150), (200, 150)], [(165, 60), (160, 240)]],
    [[(95, 52), (88, 130), (150, 115), (200, 165), (165, 230), (80, 225)], [(95, 50), (190, 48)]],
    [[(180, 45), (110, 90), (75, 170), (110, 235), (180, 225), (195, 170), (140, 145), (85, 180)]],
    [[(75, 60), (205, 55), (165, 140), (125, 235)]],
    [[(180, 70), (140, 42), (95, 75), (190, 180), (140, 238), (90, 190), (140, 130), (180, 70)]],
    [[(190, 90), (140, 48), (95, 85), (130, 135), (188, 100), (185, 160), (165, 240)]],
]  # fmt: skip
INK, PAPER = [(0x15, 0x17, 0x1C), (0xF4, 0xF5, 0xF7)], [(255, 255, 255), (0x0C, 0x0D, 0x10)]


def by_pen(digit: int, rng: np.random.Generator) -> Image.Image:
    """White strokes on black: wobbly, of any size, slant and width, some near the edge."""
    large = Image.new("L", (1120, 1120))
    turn, slant, size = rng.normal(0, 0.15), rng.normal(0, 0.2), rng.uniform(0.2, 1.1)
    across = [size * rng.uniform(0.75, 1.15), slant * size, -turn * size, size]
    shift, pen = rng.uniform(-40, 40, 2) * (1.1 - size), int(4 * rng.choice([12, 20, 32]))
    for stroke in STROKES[digit]:
        points = np.array(stroke) + rng.normal(0, 6, (len(stroke), 2)) - 140
        xy = [tuple(4 * (p @ np.reshape(across, (2, 2)).T + 140 + shift)) for p in points]
        ImageDraw.Draw(large).line(xy, fill=255, width=pen, joint="curve")
        for x, y in (xy[0], xy[-1]):
            ImageDraw.Draw(large).circle((x, y), pen / 2, fill=255)
    return large.resize((280, 280), Image.Resampling.BOX)


def enlarged(digit_HW: NDArray[np.uint8], rng: np.random.Generator) -> Image.Image:
    """White on black: a digit of MNIST's, with a pen's edges."""
    side, page = int(rng.choice([120, 160, 220, 252])), Image.new("L", (280, 280))
    smooth = Image.fromarray(digit_HW).resize((side, side), Image.Resampling.BICUBIC)
    page.paste(smooth, ((280 - side) // 2, (280 - side) // 2))
    return page.point(lambda grey: min(max(4 * (grey - 128) + 128, 0), 255))


@pytest.fixture(scope="module")
def drawings() -> list[bytes]:
    """500 PNGs as the page makes them, every third one in its dark colours."""
    rng = np.random.default_rng(0)
    images_NHW, _ = idx.read(EMBEDDED, TEST)
    strokes = [by_pen(n % 10, rng) for n in range(250)]
    digits = [enlarged(image_HW, rng) for image_HW in images_NHW[:250].numpy()]
    return [encoded(coloured(ink, n % 3 == 0)) for n, ink in enumerate(strokes + digits)]


def coloured(ink: Image.Image, is_dark: bool) -> Image.Image:
    page = Image.new("RGB", ink.size, PAPER[is_dark])
    page.paste(INK[is_dark], (0, 0), ink)
    return page


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(page_file: Path, chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Opens the page from the disk, without a network. It may ask nobody, and say nothing."""
    asked: list[str] = []
    said: list[str] = []

    def open_page(**options: Any) -> Page:
        page = chromium.new_context(offline=True, **options).new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(page_file.as_uri())
        return page

    yield open_page
    for context in chromium.contexts:
        context.close()
    elsewhere = {url for url in asked if not url.startswith(("blob:", "data:"))}
    assert (elsewhere, said) == ({page_file.as_uri()}, [])


ASK = """base64 => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    return modules["answer.js"].ask(new Blob([bytes], { type: "image/png" }));
}"""


@pytest.mark.slow
@in_chromium
def test_the_page_reads_500_drawings_as_the_server_does(
    opened: Callable[..., Page], drawings: list[bytes]
) -> None:
    """The same arithmetic in another order: a half may be rounded to the other side, which is 1 of
    255. Rarely a pixel lies on a threshold of ink, so that a thin stroke grows there or does not;
    and the server, where a doubt is left, guesses at other papers.
    """
    page, predictor, same, off = opened(), loading.from_file(str(ROBUST)), 0, []
    for png in drawings:
        there = predictor.predict([Reading().read(png)])[0]
        here = page.evaluate(ASK, base64.b64encode(png).decode())
        parts = [part.digit for part in there.parts]
        same += (here["digit"], [each["digit"] for each in here["digits"]]) == (there.digit, parts)
        if here["seen"] and there.seen is not None:
            seen = Image.open(BytesIO(base64.b64decode(here["seen"]))).convert("L")
            off.append(np.abs(np.asarray(seen).astype(int) - there.seen))
    assert same >= 490
    assert sum(each.max() <= 1 for each in off) >= 490


def draw(page: Page, points: list[tuple[int, int]]) -> None:
    box = page.locator("#canvas").bounding_box()
    assert box
    unit = box["width"] / 280
    places = [(box["x"] + x * unit, box["y"] + y * unit) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()


@pytest.mark.slow
@in_chromium
@pytest.mark.parametrize("width", [320, 1280])
def test_it_is_drawn_on_and_answers(opened: Callable[..., Page], width: int) -> None:
    page = opened(viewport={"width": width, "height": 800})
    draw(page, SEVEN)
    expect(page.locator("#digit")).to_have_text("7")
    expect(page.locator("#said")).to_have_text(re.compile(r"\d\d\.\d %"))
    expect(page.locator("#bars .best")).to_contain_text("7")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    expect(page.get_by_role("link")).to_have_count(0)
    page.get_by_role("button", name="Clear").click()
    for points in ([(60, 60), (60, 220)], [(210, 60), (210, 220)]):
        draw(page, points)
    expect(page.locator("#said")).to_have_text("2 digits")
    expect(page.locator("#digit")).to_have_text("11")


@pytest.mark.slow
@in_chromium
def test_a_picture_is_refused_in_words(opened: Callable[..., Page], drawings: list[bytes]) -> None:
    page = opened()
    page.locator("body").evaluate(
        """(body, base64) => {
            const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], "7.png", { type: "image/png" }));
            body.dispatchEvent(new DragEvent("drop", { bubbles: true, dataTransfer: data }));
        }""",
        base64.b64encode(drawings[0]).decode(),
    )
    expect(page.get_by_role("alert")).to_have_text("This page reads drawings, not pictures.")
