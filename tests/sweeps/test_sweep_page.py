"""sweep.html of 500 jobs, in Chromium."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from digits.sweeps import table
from digits.sweeps.sweep_folder import SweepFolder
from support.sweeps import job

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium on the PATH"),
]
DESKTOP, PHONE = {"width": 1100, "height": 800}, {"width": 360, "height": 640}
HOSTILE = "<img src=x onerror=window.hurt=1>"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 settings with 5 seeds; in epoch e of 30, the accuracy of lr=n is n / 100 * e / 30."""
    folder = tmp_path_factory.mktemp("large")
    for number in range(500):
        lr, seed = divmod(number, 5)
        words = [f"model.optimizer.lr={lr}", f"seed={seed}", f"data.batch_size={lr % 4 + 1}"]
        path = job(folder, str(number), words, acc=lr / 100 + seed / 10_000)
        rows = [f"{epoch},{lr / 100 * (epoch + 1) / 30}" for epoch in range(30)]
        (path / "metrics.csv").write_text("epoch,val/acc\n" + "\n".join(rows) + "\n")
    job(folder, "500", ["model.optimizer.lr=100", f"tags={HOSTILE}"], "failed", error=HOSTILE)
    table.write(SweepFolder(folder))
    return folder / "sweep.html"


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def page(request: pytest.FixtureRequest, chromium: Browser, large: Path) -> Iterator[Page]:
    page = chromium.new_page(viewport=request.param)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
    page.goto(large.as_uri())
    yield page
    page.close()
    assert wrong == []


def column(page: Page, title: str) -> list[str]:
    titles = page.locator("th button").all_inner_texts()
    return page.locator(f"tbody tr.row td:nth-child({titles.index(title) + 1})").all_inner_texts()


def test_it_sorts_and_opens(page: Page) -> None:
    assert column(page, "model.optimizer.lr")[:3] == ["99", "98", "97"]
    assert column(page, "best val/acc")[0] == "0.9902"
    page.get_by_role("button", name="model.optimizer.lr").click()
    assert column(page, "model.optimizer.lr")[:12:5] == ["0", "5", "10"]  # as numbers
    page.get_by_role("button", name="model.optimizer.lr").click()
    assert column(page, "model.optimizer.lr")[:2] == ["100", "99"]
    page.get_by_role("button", name="best val/acc").click()
    assert column(page, "best val/acc")[-1] == "\N{EN DASH}"  # what failed stays last
    page.get_by_label("means over seeds").uncheck()
    assert len(column(page, "job")) == 501
    page.get_by_role("button", name="job").click()
    assert column(page, "job")[:11:5] == ["0", "5", "10"]
    page.locator("tbody tr.row").nth(7).click()
    detail = page.locator("tr.detail")
    assert "job\n7, finished" in detail.inner_text()
    assert detail.get_by_role("link", name="metrics.json").get_attribute("href") == "7/metrics.json"
    page.locator("tbody tr.row").nth(7).click()
    assert page.locator("tr.detail").count() == 0


def test_all_pictures_are_there(page: Page, large: Path) -> None:
    assert large.stat().st_size < 2_000_000
    assert page.locator("#parallel svg path").count() == 100
    assert page.locator("#slices svg").count() == 3
    assert page.locator("#slices svg").first.locator("circle").count() == 500
    assert page.locator("#progress svg circle").count() == 500
    assert page.locator("#curves svg path").count() == 500
    for path in ("#parallel svg path", "#curves svg path", "#progress svg path"):
        assert "NaN" not in str(page.locator(path).first.get_attribute("d"))
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_somebodys_words_are_text(page: Page) -> None:
    page.locator("tbody tr.row").last.click()
    assert HOSTILE in page.locator("tr.detail").inner_text()
    assert page.locator("img").count() == 0
    assert page.evaluate("window.hurt") is None
