"""TensorBoard itself, in Chromium, on a finished run."""

import shutil
import warnings
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from support.commands import Outcome

with warnings.catch_warnings(action="ignore"):  # html5lib's, which comes along
    from tensorboard import default, program

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE_MS = 60_000
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium on the PATH"),
]


@pytest.fixture
def url(finished: Outcome) -> str:
    server = program.TensorBoard(default.get_plugins())
    words = ["--logdir", str(finished.folder), "--host", "127.0.0.1", "--port", "0"]
    server.configure(["tensorboard", *words, "--load_fast=false"])
    return str(server.launch())  # in a thread, which ends with this process


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(PATIENCE_MS)
        yield page
        browser.close()


def test_scores_charts_pictures_and_settings_are_shown(page: Page, url: str) -> None:
    page.goto(f"{url}#timeseries")
    groups = page.locator(".group-title")
    expect(groups.first).to_be_visible(timeout=PATIENCE_MS)
    assert [title.strip() for title in groups.all_inner_texts()] == [
        "Pinned", "best", "test", "train", "val", "views", "vs_epoch", "watch", "watch_activations",
        "watch_weights",
    ]  # fmt: skip
    page.goto(f"{url}?#custom_scalars")
    expect(page.get_by_text("Matches (2)").first).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("train and val")).to_be_visible()
    page.goto(f"{url}?a#images")
    expect(page.locator("tf-image-loader img")).to_have_count(6, timeout=PATIENCE_MS)
    page.goto(f"{url}?b#hparams")
    expect(page.get_by_text("data.batch_size").first).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("test/acc").first).to_be_visible()
    expect(page.get_by_text("128.00").first).to_be_visible()
