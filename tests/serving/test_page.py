"""The page in Chromium."""

import base64
import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from digits.prediction import loading
from digits.serving import app
from support import hostile_images
from support.commands import ROOT
from support.image_files import encoded
from support.serving import SEVEN, ask, drawn, here, untrained

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium on the PATH"),
]
QUIET = ("background-networking", "component-update", "sync", "gpu")
FLAGS = ["--no-sandbox", "--no-first-run", *(f"--disable-{what}" for what in QUIET)]
ONE = [(140, 50), (140, 120), (140, 230)]
DESKTOP, PHONE = {"width": 1000, "height": 700}, {"width": 360, "height": 640}
SCREENS = {  # a phone upright and lying down, a narrow one, a desktop, and that at 200 %
    "320x640": True,
    "390x844": True,
    "844x390": True,
    "1280x800": False,
    "640x400": False,
}
HOSTILE = """<!doctype html><title>A run</title>
<meta http-equiv="refresh" content="0; url=https://attacker.example/refresh">
<style>p { color: rgb(1, 2, 3) }</style><img src="favicon.svg">
<script>document.title = "taken over"</script><p>A run's report</p>"""
ALOUD = r"^Perhaps no digit; if one: \d \([\d.]+ %\)$"  # this network is never sure
Points = list[tuple[int, int]]
Open = Callable[..., Page]

# counts in `busy` what the page waits for: from a change to its answer there is always something
BUSY = """
window.busy = 0;
const waits = [[window, "fetch"], [window, "createImageBitmap"], [Response.prototype, "json"],
    [OffscreenCanvas.prototype, "convertToBlob"]];
for (const [owner, name] of waits) {
    const call = owner[name];
    owner[name] = async function (...given) {
        window.busy++;
        try {
            return await call.apply(this, given);
        } finally {
            window.busy--;
        }
    };
}
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The plugin's own lasts for the session, and so does its event loop, in every other test."""
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("ckpt")
    (folder / "report.html").write_text(HOSTILE)
    model = app.Model("robust", 0.98941, folder / "report.html", 10_000)
    with here(loading.from_file(untrained(folder), []), model=model) as at:
        yield at.url


@pytest.fixture
def said() -> list[str]:
    """What the page put on its console; a test that expects something there clears it."""
    return []


@pytest.fixture
def opened(url: str, chromium: Browser, said: list[str]) -> Iterator[Open]:
    """Opens the page. Nothing may be asked of anywhere else, nor said on the console."""
    asked: list[str] = []
    contexts = []

    def open_page(**options: Any) -> Page:
        context = chromium.new_context(**({"viewport": DESKTOP} | options))
        contexts.append(context)
        context.add_init_script(BUSY)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(url)
        expect(page.locator("#said")).to_have_text("Draw a digit")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [each for each in asked if not each.startswith((url, "data:"))] == []
    assert said == []


def places(page: Page, points: Points) -> list[tuple[float, float]]:
    """Of the canvas's 280 units, on the page."""
    box = page.locator("#canvas").bounding_box()
    assert box
    unit = box["width"] / 280
    return [(box["x"] + x * unit, box["y"] + y * unit) for x, y in points]


def press(page: Page, points: Points) -> Iterator[None]:
    """Draws, and stops at each point with the button held."""
    first, *rest = places(page, points)
    page.mouse.move(*first)
    page.mouse.down()
    for place in rest:
        page.mouse.move(*place, steps=8)
        yield
    page.mouse.up()


def draw(page: Page, points: Points) -> None:
    for _ in press(page, points):
        pass
    settled(page)


def settled(page: Page) -> None:
    """Waits until the newest drawing is answered."""
    expect(page.locator("#note")).to_contain_text("ms")
    page.wait_for_function("() => busy === 0")


def bars(page: Page) -> list[str]:
    return page.locator("#bars li > :last-child").all_inner_texts()


def shown(page: Page) -> str:
    return page.locator("#digit").inner_text()


def ink(page: Page) -> int:
    """How many of the canvas's 280x280 units differ from its corner."""
    return int(
        page.evaluate("""() => {
            const copy = new OffscreenCanvas(280, 280).getContext("2d");
            copy.drawImage(document.getElementById("canvas"), 0, 0, 280, 280);
            const { data } = copy.getImageData(0, 0, 280, 280);
            return data.filter((value, i) => i % 4 === 0 && Math.abs(value - data[0]) > 60).length;
        }""")
    )


def is_empty(page: Page) -> None:
    expect(page.locator("#said")).to_have_text("Draw a digit")
    expect(page.locator("#digit")).to_have_text("")
    expect(page.locator("#seen")).to_be_hidden()
    assert bars(page) == [""] * 10
    assert ink(page) == 0


def test_answers_change_while_the_button_is_held_and_read_well_aloud(opened: Open) -> None:
    page, answers = opened(), []
    for _ in press(page, SEVEN):
        settled(page)
        answers.append(tuple(bars(page)))
    assert len(answers) == 3
    assert len(set(answers)) >= 2
    page.mouse.up()
    settled(page)
    assert re.fullmatch("[0-9]", shown(page))
    assert sum(float(text.removesuffix(" %")) for text in bars(page)) == pytest.approx(100, abs=0.5)
    best = page.locator("#bars .best")
    expect(best).to_contain_text(shown(page))
    width = best.locator(".fill").evaluate("e => e.style.width")
    widths = page.locator(".fill").evaluate_all("all => all.map(e => parseFloat(e.style.width))")
    assert float(width.removesuffix("%")) == max(widths)
    assert page.locator("#seen").evaluate("e => [e.naturalWidth, e.naturalHeight]") == [28, 28]
    status = page.get_by_role("status")
    expect(status).to_have_text(re.compile(ALOUD))
    assert f"if one: {shown(page)} (" in status.inner_text()
    aloud = page.locator("main").aria_snapshot()
    for line in (
        'application "Drawing area"',
        'button "Undo"',
        'button "Clear"',
        'button "Redo" [disabled]',
        'button "Eraser"',
        'radiogroup "Width of the pen"',
        'radio "Medium" [checked]',
        'button "Open a picture"',
        'button "A red eight"',
        'region "Answer"',
        'img "The 28 by 28 pixels the model saw"',
        'region "Probabilities"',
    ):
        assert line in aloud
    assert len(re.findall(r"listitem: \d [\d.]+ %", aloud)) == 10
    assert page.locator("html").get_attribute("lang") == "en"


def test_only_the_newest_drawing_counts(opened: Open) -> None:
    """One question at a time; what was asked before a clear is not shown after it."""
    page, under_way, most = opened(), [0], [0]

    def slowly(route: Route) -> None:
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        response = route.fetch()
        page.wait_for_timeout(60)
        under_way[0] -= 1
        route.fulfill(response=response)

    page.route("**/predict", slowly)
    draw(page, SEVEN)
    assert most == [1]
    page.unroute_all(behavior="wait")
    page.route("**/predict", lambda route: None)  # never answered
    for _ in press(page, ONE):
        pass
    page.get_by_role("button", name="Clear").click()
    is_empty(page)
    page.unroute_all()
    draw(page, ONE)
    assert shown(page) != ""


def test_clear_and_undo(opened: Open) -> None:
    page = opened()
    undo, clear = (page.get_by_role("button", name=name) for name in ("Undo", "Clear"))
    expect(undo).to_be_disabled()
    expect(clear).to_be_disabled()
    draw(page, ONE)
    one, one_bars = ink(page), bars(page)
    draw(page, [(60, 60), (220, 60)])
    both = ink(page)
    assert both > one > 1000
    undo.click()
    settled(page)
    assert (ink(page), bars(page)) == (one, one_bars)
    clear.click()
    is_empty(page)
    page.keyboard.press("Control+z")  # a clear, too, is undone
    settled(page)
    assert (ink(page), bars(page)) == (one, one_bars)
    page.keyboard.press("Delete")
    is_empty(page)
    undo.click()
    undo.click()
    is_empty(page)
    expect(undo).to_be_disabled()


def test_a_file_is_read(opened: Open, url: str) -> None:
    page = opened()
    data = drawn("JPEG", 2800)
    expected = ask(url, data, "image/jpeg").json()
    page.get_by_label("Open a picture").set_input_files(
        {"name": "7.jpg", "mimeType": "image/jpeg", "buffer": data}
    )
    settled(page)
    assert shown(page) == str(expected["digit"])
    assert page.locator("#seen").get_attribute("src").endswith(expected["seen"])  # type: ignore[union-attr]
    assert ink(page) > 1000
    steps = page.locator("#steps img")
    assert steps.evaluate("(image) => image.naturalWidth / image.naturalHeight") == 4
    expect(page.get_by_text("its light")).to_be_visible()
    frames, canvas = page.locator("#boxes span"), page.locator("#canvas").bounding_box()
    expect(frames).to_have_count(1)
    frame = frames.bounding_box()
    assert frame
    assert canvas
    unit = canvas["width"] / 280
    sides = frame["x"] - canvas["x"], frame["y"] - canvas["y"], frame["width"], frame["height"]
    # SEVEN's points are from 80, 66 to 205, 225; its line is 20 wide and begins squarely
    assert [side / unit for side in sides] == pytest.approx([80, 56, 135, 175], abs=6)
    draw(page, ONE)  # over it
    expect(page.locator("#boxes span")).to_have_count(0)
    expect(steps).to_be_hidden()
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    is_empty(page)


DROP = """([kind, base64]) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], "7.png", { type: "image/png" }));
    const options = { bubbles: true, cancelable: true };
    document.body.dispatchEvent(kind === "drop"
        ? new DragEvent(kind, { ...options, dataTransfer: data })
        : new ClipboardEvent(kind, { ...options, clipboardData: data }));
}"""


def test_an_image_is_dropped_or_pasted(opened: Open, url: str) -> None:
    page, data = opened(), drawn()
    for kind in ("drop", "paste"):
        page.evaluate(DROP, [kind, base64.b64encode(data).decode()])
        settled(page)
        assert shown(page) == str(ask(url, data).json()["digit"])
        assert ink(page) > 1000
        page.keyboard.press("Delete")
        is_empty(page)


def test_what_the_server_refuses_is_shown_to_it_smaller(opened: Open, said: list[str]) -> None:
    page = opened()
    large = hostile_images.page("PNG", "1", (5000, 4000))  # 20 megapixels
    page.get_by_label("Open a picture").set_input_files(
        {"name": "x.png", "mimeType": "image/png", "buffer": large}
    )
    settled(page)
    assert shown(page) != ""
    expect(page.get_by_role("alert")).to_be_hidden()
    assert all("status of 422" in line for line in said)
    said.clear()
    page.get_by_label("Open a picture").set_input_files(
        {"name": "a.txt", "mimeType": "text/plain", "buffer": b"text"}
    )
    expect(page.get_by_role("alert")).to_have_text("This browser can't show a.txt as a picture.")
    draw(page, ONE)
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_server_that_is_gone_is_waited_for(opened: Open, said: list[str]) -> None:
    page = opened()
    page.route("**/predict", lambda route: route.abort("connectionrefused"))
    for _ in press(page, ONE):
        pass
    alert = page.get_by_role("alert")
    expect(alert).to_have_text("The server does not answer. Trying again…")
    page.unroute_all()
    settled(page)  # by itself
    expect(alert).to_be_hidden()
    assert all("ERR_CONNECTION_REFUSED" in line for line in said)
    said.clear()


def test_fingers_draw_on_a_phone(opened: Open) -> None:
    page = opened(viewport=PHONE, has_touch=True, is_mobile=True, device_scale_factor=3)
    touches = page.context.new_cdp_session(page)
    spots = [{"x": x, "y": y} for x, y in places(page, SEVEN)]
    for kind, points in (
        ("touchStart", spots[:1]),
        *(("touchMove", [spot]) for spot in spots[1:]),
        ("touchEnd", []),
    ):
        touches.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    settled(page)
    assert re.fullmatch("[0-9]", shown(page))
    assert ink(page) > 1000
    assert page.locator("#canvas").evaluate("e => getComputedStyle(e).touchAction") == "none"
    assert page.evaluate("[scrollX, scrollY, document.documentElement.scrollWidth]") == [0, 0, 360]
    for control in page.locator("main :is(button, .button)").all():
        box = control.bounding_box()
        assert box
        assert box["height"] >= 44
        assert box["width"] >= 44
    canvas, verdict = (page.locator(name).bounding_box() for name in ("#canvas", ".verdict"))
    assert canvas
    assert verdict
    assert verdict["y"] + verdict["height"] <= canvas["y"]  # the hand does not cover it
    assert canvas["y"] + canvas["height"] <= PHONE["height"]


def test_the_keyboard_draws(opened: Open) -> None:
    page = opened()
    canvas = page.get_by_role("application", name="Drawing area")
    page.keyboard.press("Tab")
    expect(canvas).to_be_focused()
    page.evaluate(
        """() => {
            window.said = [];
            const live = document.getElementById("live");
            const heard = new MutationObserver(() => said.push(live.textContent));
            heard.observe(live, {childList: true});
        }"""
    )
    page.keyboard.press("Space")
    assert "Pen down" in page.evaluate("() => window.said")  # an answer may follow at once
    for key in ["ArrowUp"] * 3 + ["Shift+ArrowDown"] * 3:
        page.keyboard.press(key)
    settled(page)
    assert ink(page) > 1000
    page.keyboard.press("Space")
    before = ink(page)
    page.keyboard.press("Shift+ArrowRight")
    assert ink(page) == before
    status = page.get_by_role("status")
    expect(status).to_have_text(re.compile(ALOUD))  # said once it is quiet
    assert f"if one: {shown(page)} (" in status.inner_text()
    page.keyboard.press("Escape")
    is_empty(page)
    examples = page.locator("#examples img").evaluate_all("all => all.map((each) => each.alt)")
    assert len(examples) == 7
    # what has nothing to do is passed over
    network = ("The network, live", "Hidden unit", "Why this digit", "And not this one")
    for name in ("Undo", "Medium", "Open a picture", "its report", *examples, *network, "API"):
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_accessible_name(name)


PART = {"probability": 0.9, "probabilities": [0.1] * 10, "note": "", "seen": None}
BOXES = ([20, 60, 90, 230], [190, 60, 260, 230])
DIGITS = [PART | {"digit": digit, "box": box} for digit, box in zip((4, 7), BOXES, strict=True)]
SEVERAL = {"digit": None, "probability": None, "probabilities": None, "note": "2 digits"}
SEVERAL |= {"box": None, "seen": None, "digits": DIGITS}


def test_several_digits_are_shown_each(opened: Open) -> None:
    page = opened()
    before = page.locator("#canvas").bounding_box()
    page.route("**/predict", lambda route: route.fulfill(json=SEVERAL))
    draw(page, SEVEN)
    assert shown(page) == "47"
    expect(page.locator("#said")).to_have_text("2 digits")
    expect(page.locator("#boxes span")).to_have_count(2)
    box, first = page.locator("#canvas").bounding_box(), page.locator("#boxes span").first
    assert box == before  # nothing moves under the pen
    frame = first.bounding_box()
    assert frame
    assert frame["x"] - before["x"] == pytest.approx(20 / 280 * before["width"], abs=1)  # type: ignore[index]
    four, seven = page.locator("#parts button").all()
    expect(page.locator("#bars .best")).to_contain_text("4")
    seven.click()
    expect(page.locator("#bars .best")).to_contain_text("7")
    assert [each.get_attribute("aria-pressed") for each in (four, seven)] == ["false", "true"]
    expect(page.get_by_role("status")).to_have_text("2 digits: 4 7")


UNSURE = PART | {"digit": 8, "probability": 0.971, "note": "not sure", "box": None, "digits": []}


def test_what_is_perhaps_no_digit_is_not_called_one(opened: Open) -> None:
    page = opened()
    page.route("**/predict", lambda route: route.fulfill(json=UNSURE))
    draw(page, SEVEN)
    sentence = "Perhaps no digit; if one: 8 (97.1 %)"
    expect(page.locator("#said")).to_have_text(sentence)
    expect(page.get_by_role("status")).to_have_text(sentence)


NEEDED = "#canvas, .tools button, .tools label, .verdict"
CONTROLS = f"{NEEDED}, #parts button, #bars li, #model, #examples button"
BOXES = """(selector) => [...document.querySelectorAll(selector)].map((element) => {
    element.scrollIntoView({ block: "center" });
    const { left, top, right, bottom } = element.getBoundingClientRect();
    const there = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
    const isSeen = element.contains(there) || there.id === "hint";
    const name = `${element.outerHTML} under ${there?.outerHTML}`;
    return [name, isSeen, left + scrollX, top + scrollY, right + scrollX, bottom + scrollY];
})"""


@pytest.mark.parametrize("screen", SCREENS)
def test_every_control_has_a_place_on_every_screen(opened: Open, screen: str) -> None:
    width, height = map(int, screen.split("x"))
    touch = {"has_touch": SCREENS[screen], "is_mobile": SCREENS[screen]}
    page = opened(viewport={"width": width, "height": height}, **touch)
    expect(page.locator("#model")).to_be_visible()
    have_places(page, 28, width, height)
    for answer, parts in ((SEVERAL, 2), (UNSURE, 0)):
        page.unroute_all()
        page.route("**/predict", lambda route, _, json=answer: route.fulfill(json=json))
        page.evaluate("scrollTo(0, 0)")
        draw(page, SEVEN)
        have_places(page, 28 + parts, width, height)
    file = {"name": f"{'long' * 9}.txt", "mimeType": "text/plain", "buffer": b"text"}
    page.locator("#file").set_input_files(file)
    expect(page.get_by_role("alert")).to_be_visible()
    have_places(page, 28, width, height)
    (_, _, _, top, _, bottom), (_, _, _, upper, _, lower) = page.evaluate(
        BOXES, "#problem, .verdict"
    )
    assert top <= upper <= lower <= bottom


def have_places(page: Page, number: int, width: int, height: int) -> None:
    """Nothing lies over another thing or beyond the screen's width."""
    found = page.evaluate(BOXES, CONTROLS)
    assert len(found) == number
    for index, (name, is_seen, left, top, right, bottom) in enumerate(found):
        assert is_seen, name
        assert 0 <= left <= right - 20, name
        assert right <= width, name
        assert top <= bottom - 14, name
        for other, _, *its in found[:index]:
            is_beside = right <= its[0] or its[2] <= left
            assert is_beside or bottom <= its[1] or its[3] <= top, (name, other)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    if (width, height) in ((390, 844), (844, 390)):  # no scrolling while one draws
        assert max(bottom for *_, bottom in page.evaluate(BOXES, NEEDED)) <= height


def test_a_phone_is_told_of_its_camera_and_a_desktop_of_its_keyboard(opened: Open) -> None:
    for phone in (True, False):
        page = opened(has_touch=phone, is_mobile=phone)
        camera, keys = page.get_by_text("Photo or camera"), page.get_by_text("Keyboard: arrows")
        expect(camera).to_be_visible(visible=phone)
        expect(keys).to_be_visible(visible=not phone)
        expect(page.get_by_text("Open a picture")).to_be_visible(visible=not phone)
        hint = "with a finger, or take a photo" if phone else "with mouse, finger, pen or keyboard"
        expect(page.locator("#note")).to_have_text(hint)


def test_redo(opened: Open) -> None:
    """Strokes, clears and pictures come back; what is drawn instead ends it."""
    page = opened()
    redo = page.get_by_role("button", name="Redo")
    expect(redo).to_be_disabled()
    states = [ink(page)]
    draw(page, ONE)
    states.append(ink(page))
    page.keyboard.press("Delete")
    states.append(ink(page))
    page.get_by_role("button", name="A letter").click()
    settled(page)
    states.append(ink(page))
    draw(page, [(60, 60), (220, 60)])
    states.append(ink(page))
    assert states[2] == 0
    assert len(set(states)) == 4
    for expected in states[-2::-1]:
        page.keyboard.press("Control+z")
        assert ink(page) == expected
    for key, expected in zip(["y", "Shift+Z", "y"], states[1:], strict=False):
        page.keyboard.press(f"Control+{key}")
        assert ink(page) == expected
    redo.click()
    settled(page)
    assert ink(page) == states[4]
    expect(redo).to_be_disabled()
    page.keyboard.press("Control+z")
    expect(redo).to_be_enabled()
    draw(page, ONE)
    expect(redo).to_be_disabled()


def test_the_eraser_on_a_drawing(opened: Open) -> None:
    page = opened()
    eraser = page.get_by_role("button", name="Eraser")
    expect(eraser).to_be_disabled()  # on an empty paper
    draw(page, SEVEN)
    whole = ink(page)
    page.keyboard.press("e")
    expect(eraser).to_have_attribute("aria-pressed", "true")
    draw(page, SEVEN[1:])
    assert ink(page) < 0.6 * whole
    page.keyboard.press("Control+z")
    assert ink(page) == whole
    page.keyboard.press("Control+y")
    eraser.click()
    expect(eraser).to_have_attribute("aria-pressed", "false")
    draw(page, SEVEN[1:])
    assert ink(page) == pytest.approx(whole, rel=0.1)
    eraser.click()
    page.keyboard.press("Delete")
    expect(eraser).to_have_attribute("aria-pressed", "false")  # or the next stroke would do nothing
    draw(page, ONE)
    assert ink(page) > 1000


def test_the_eraser_on_a_picture_takes_the_colour_of_its_paper(opened: Open) -> None:
    """Here two papers, and the picture's mean is the colour of neither."""
    page, image = opened(), Image.new("RGB", (280, 280), (60, 70, 90))
    sheet = ImageDraw.Draw(image)
    sheet.rectangle((60, 0, 280, 280), fill=(250, 240, 220))
    sheet.line([(170, 70), (170, 200)], fill=(20, 20, 60), width=20)
    file = {"name": "1.png", "mimeType": "image/png", "buffer": encoded(image)}
    page.get_by_label("Open a picture").set_input_files(file)
    settled(page)
    page.keyboard.press("e")
    page.keyboard.press("]")
    draw(page, [(170, 60), (170, 210)])
    shown = page.evaluate("""() => [40, 100, 170].map((x) => {
        const copy = new OffscreenCanvas(280, 280).getContext("2d");
        copy.drawImage(document.getElementById("canvas"), 0, 0, 280, 280);
        return [...copy.getImageData(x, 140, 1, 1).data.slice(0, 3)];
    })""")
    assert shown == [[60, 70, 90], [250, 240, 220], [250, 240, 220]]


def test_the_width_of_the_pen(opened: Open) -> None:
    page = opened()
    area = {}
    for key in ("", "]", "]", "[", "[", "[", "AltGraph+]"):
        if key:
            page.keyboard.press(key)
        width = page.locator("#widths :checked").get_attribute("value")
        assert width
        page.keyboard.press("Delete")
        draw(page, ONE)
        assert area.setdefault(width, ink(page)) == ink(page)
    assert list(area) == ["20", "32", "12"]
    assert area["12"] < 0.7 * area["20"] < 0.7 * 0.7 * area["32"]
    page.get_by_role("radio", name="Thick").check()
    page.keyboard.press("Delete")
    draw(page, ONE)
    assert ink(page) == area["32"]


def test_the_examples(opened: Open, url: str) -> None:
    page = opened(viewport={"width": 844, "height": 390})  # where they are below the drawing
    for path in sorted((ROOT / "docs" / "drawings").iterdir()):
        page.locator(f'#examples [src$="/{path.name}"]').click()
        expect(page.locator("#hint")).to_be_hidden()
        settled(page)
        assert page.evaluate("scrollY") <= 12
        answer = ask(url, path.read_bytes(), "application/octet-stream").json()
        digits = [part["digit"] for part in answer["digits"]] or [answer["digit"]]
        assert shown(page) == "".join(str(digit) for digit in digits if digit is not None)
        expect(page.locator("#steps")).to_be_visible(visible=answer["seen"] is not None)
        page.keyboard.press("Delete")
        is_empty(page)
    assert page.locator("#examples button").count() == 7


def test_the_model_is_named_and_its_report_takes_nothing_over(
    opened: Open, said: list[str], url: str
) -> None:
    page = opened()
    line = "Read by robust: 98.94 % of 10,000 test images right, its report"
    expect(page.locator("#model")).to_have_text(line)
    page.get_by_role("link", name="its report").click()
    paragraph = page.get_by_text("A run's report")
    expect(paragraph).to_have_css("color", "rgb(1, 2, 3)")
    page.wait_for_timeout(500)  # for the refresh
    assert (page.url, page.title()) == (f"{url}/report", "A run")
    refused = " ".join(said)  # favicon.svg stands for a picture from anywhere
    assert "favicon.svg" in refused
    assert "script" in refused
    said.clear()


LOOKS = [("320x640", "light"), ("844x390", "dark"), ("1280x800", "light"), ("1280x800", "dark")]


@pytest.mark.parametrize(("screen", "colours"), LOOKS)
def test_axe_finds_nothing(opened: Open, screen: str, colours: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    width, height = map(int, screen.split("x"))
    page = opened(viewport={"width": width, "height": height}, color_scheme=colours)
    assert Axe().run(page).response["violations"] == []
    page.route("**/predict", lambda route: route.fulfill(json=SEVERAL))
    draw(page, SEVEN)
    page.keyboard.press("e")
    file = {"name": "a.txt", "mimeType": "text/plain", "buffer": b"text"}
    page.locator("#file").set_input_files(file)
    expect(page.get_by_role("alert")).to_be_visible()
    assert Axe().run(page).response["violations"] == []
