"""The network's view on the page, in Chromium."""

import re
import shutil
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, CDPSession, Locator, Page, expect, sync_playwright

from digits.files import ROBUST
from digits.prediction import confidence, explanation, loading
from digits.prediction.network import shipped
from support.drawn import training
from support.serving import SEVEN, Stub, drawn, here

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium on the PATH"),
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--no-first-run", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(chromium: Browser) -> Iterator[Page]:
    """With a seven, and room for everything."""
    with here(loading.from_file(str(ROBUST))) as at:
        page = chromium.new_page(viewport={"width": 1280, "height": 1600})
        page.goto(at.url)
        expect(page.locator("#network")).to_be_visible()
        page.get_by_label("Open a picture").set_input_files(
            {"name": "7.png", "mimeType": "image/png", "buffer": drawn()}
        )
        expect(part(page, "sum")).to_contain_text("7 before")
        yield page


def part(page: Page, name: str) -> Locator:
    return page.locator(f"#network [data-part={name}]")


def number(text: str) -> float:
    return float(text.replace("\N{MINUS SIGN}", "-"))


COMPUTED = """async (images) => {
    const { Network } = await import("./network.js");
    const network = new Network(await (await fetch("network")).arrayBuffer());
    return images.map((image) => {
        const seen = network.read(Uint8Array.from(image));
        const why = network.why(seen, 3, 8);
        const { hidden, probabilities } = seen;
        const told = [hidden, probabilities, why.parts].map((numbers) => [...numbers]);
        return [...told, why.bias, why.most, why.difference];
    });
}"""


def test_the_browser_computes_what_python_does(page: Page) -> None:
    images_NHW, weights = training()[0][:20], shipped()
    told = page.evaluate(COMPUTED, images_NHW.reshape(20, -1).tolist())
    hidden_NH = weights.hidden(images_NHW)
    p_NK = confidence.tempered(weights(images_NHW), confidence.measured().temperature)
    for place, (hidden, probabilities, parts, bias, most, difference) in enumerate(told):
        why = explanation.of(weights, images_NHW[place], 3, 8)
        # Python's sums of 784 and 512 products are float32
        assert np.allclose(hidden, hidden_NH[place], atol=1e-4)
        assert np.allclose(probabilities, p_NK[place], atol=1e-4)
        assert np.allclose(np.reshape(parts, (28, 28)), why.pixels, atol=1e-4)
        assert bias == pytest.approx(why.bias, abs=1e-4)
        assert most == [unit.unit for unit in why.units]
        assert sum(parts) + bias == pytest.approx(difference, abs=1e-9)


def test_it_shows_why(page: Page) -> None:
    expect(part(page, "count")).to_have_text("512")
    said = part(page, "sum").inner_text()
    found = re.fullmatch(r"7 before (\d) by ([\d.]+) logits: ink (.+), biases (.+)\.", said)
    assert found
    ink, bias = map(number, found.groups()[2:])
    assert ink + bias == pytest.approx(float(found[2]), abs=0.11)  # each is rounded
    top = [number(text) for text in part(page, "outputs").locator("b").all_inner_texts()]
    assert top[7] - top[int(found[1])] == pytest.approx(float(found[2]), abs=0.11)
    expect(part(page, "live")).to_have_text(said)  # aloud, once it is quiet
    page.get_by_label("And not this one").select_option("3")
    expect(part(page, "sum")).to_contain_text("7 before 3 by")
    page.get_by_label("Why this digit").select_option("1")
    expect(part(page, "sum")).to_contain_text("1 behind 3 by")
    for name in ("Why this digit", "And not this one"):
        page.get_by_label(name).select_option("")
    expect(part(page, "sum")).to_have_text(said)


def test_units_are_chosen_by_keyboard_and_mouse(page: Page) -> None:
    unit, name, free = (part(page, each) for each in ("unit", "name", "free"))
    tiles = part(page, "most").locator("button")
    expect(tiles).to_have_count(12)
    first, second = (int(text) for text in tiles.locator("span").all_inner_texts()[:2])
    expect(name).to_have_text(f"Unit {first}")
    expect(free).to_be_hidden()
    unit.focus()
    page.keyboard.press("PageDown")
    expect(name).to_have_text(f"Unit {second}")
    assert unit.get_attribute("aria-valuetext").startswith(f"Unit {second} gives ")
    step = 32 if second >= 32 else -32
    page.keyboard.press("ArrowUp" if step > 0 else "ArrowDown")
    expect(name).to_have_text(f"Unit {second - step}")
    page.keyboard.press("ArrowRight")
    expect(name).to_have_text(f"Unit {second - step + 1}")
    expect(free).to_be_visible()
    page.keyboard.press("Escape")  # which clears the drawing elsewhere
    expect(name).to_have_text(f"Unit {first}")
    expect(part(page, "sum")).to_contain_text("7 before")
    tiles.nth(1).click()
    expect(name).to_have_text(f"Unit {second}")
    box = part(page, "units").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 64, box["y"] + 1.5 * box["height"] / 16)
    expect(name).to_have_text("Unit 32")
    page.mouse.move(0, 0)
    free.click()
    expect(name).to_have_text(f"Unit {first}")


FRAMES = """async (images) => {
    const view = await (await import("./live.js")).ready;
    for (const image of images) {
        view.show(() => Uint8Array.from(image));
        await new Promise(requestAnimationFrame);
    }
}"""


def test_a_frame_takes_under_16_ms_on_a_slow_machine(page: Page) -> None:
    """Of the processor's time, of script, style and layout: other programs do not count. The mean
    of 60, as the throttling stops the browser now and then.
    """
    tools = page.context.new_cdp_session(page)
    images = training()[0].reshape(60, -1).tolist()
    page.evaluate(FRAMES, images)  # it is compiled
    tools.send("Performance.enable", {"timeDomain": "threadTicks"})
    tools.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    before = spent(tools)
    page.evaluate(FRAMES, images)
    assert 1000 * (spent(tools) - before) / len(images) < 16
    tools.detach()


def spent(tools: CDPSession) -> float:
    metrics = tools.send("Performance.getMetrics")["metrics"]
    names = ("ScriptDuration", "LayoutDuration", "RecalcStyleDuration")
    return sum(each["value"] for each in metrics if each["name"] in names)


def test_it_moves_while_one_draws_and_the_server_is_silent(chromium: Browser) -> None:
    with here(loading.from_file(str(ROBUST))) as at, chromium.new_page() as page:
        page.goto(at.url)
        expect(page.locator("#network")).to_be_visible()
        page.route("**/predict", lambda route: None)  # never answered
        box, seen, grids = page.locator("#canvas").bounding_box(), [], []
        assert box
        (x, y), *rest = ((box["x"] + x, box["y"] + y) for x, y in SEVEN)
        page.mouse.move(x, y)
        page.mouse.down()
        for place in rest:
            page.mouse.move(*place, steps=8)
            expect(part(page, "sum")).not_to_have_text(
                seen[-1] if seen else "Nothing is drawn yet."
            )
            seen.append(part(page, "sum").inner_text())
            grids.append(part(page, "wires").evaluate("(canvas) => canvas.toDataURL()"))
        assert len(set(grids)) == len(rest)
        expect(page.locator("#seen")).to_be_hidden()
        page.unroute_all()
        page.mouse.up()
        page.get_by_role("button", name="Clear").click()
        expect(part(page, "sum")).to_have_text("Nothing is drawn yet.")


def test_of_another_kind_of_network_there_is_no_view(chromium: Browser) -> None:
    with here(Stub()) as at, chromium.new_page() as page:
        with page.expect_response("**/network") as answer:
            page.goto(at.url)
        assert answer.value.status == 404
        expect(page.locator("#network")).to_be_hidden()
