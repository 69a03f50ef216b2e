"""docs/tensorboard.png and docs/report.png, of a run; needs Debian's chromium.

python benchmarks/inspection/screenshots.py outputs/train/2026-11-28_05-21-53-704424 docs
"""

import argparse
import shutil
import warnings
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, sync_playwright

with warnings.catch_warnings(action="ignore"):
    from tensorboard import default, program

TABS = {  # of TensorBoard, and what to wait for
    "timeseries": "card-view",
    "custom_scalars": "vz-line-chart2, vz_line_chart2, tf-custom-scalar-multi-line-chart-card",
    "images": "tf-image-loader",
    "graphs": "tf-graph-scene",
    "distributions": "tf-distribution-loader",
    "histograms": "tf-histogram-loader",
    "hparams": "tf-hparams-main",
    "pr_curves": "tf-pr-curve-card",
    "projector": "vz-projector-app",
    "text": "tf-text-loader",
}
WAIT_MS = 4000  # for what comes flying in
SIZE = ViewportSize(width=1280, height=900)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--tabs", nargs="*", choices=TABS, default=["custom_scalars"])
    arguments = parser.parse_args()
    server = program.TensorBoard(default.get_plugins())
    words = ["--logdir", str(arguments.run), "--host", "127.0.0.1", "--port", "0"]
    server.configure(["tensorboard", *words])
    url = server.launch()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        for tab in arguments.tabs:
            _tab(page, url, tab, arguments.folder)
        page.goto((arguments.run / "report.html").resolve().as_uri())
        page.screenshot(path=arguments.folder / "report.png")
        browser.close()


def _tab(page: Page, url: str, tab: str, folder: Path) -> None:
    page.goto(f"{url}#{tab}")
    page.reload()
    page.locator(TABS[tab]).first.wait_for(timeout=60_000)
    page.wait_for_timeout(WAIT_MS)
    page.screenshot(path=folder / f"tensorboard-{tab}.png")


if __name__ == "__main__":
    main()
