"""docs/tensorboard.png, docs/report.png and docs/inspect.png, of a run; needs Debian's chromium.

python benchmarks/inspection/screenshots.py outputs/train/2026-11-28_05-21-53-704424
"""

import argparse
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, ViewportSize, sync_playwright

with warnings.catch_warnings(action="ignore"):
    from tensorboard import default, program

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SIZE = ViewportSize(width=1280, height=860)
SIDE_BY_SIDE = ("confusion", "mistakes")  # in docs/inspect.png
WAIT_MS = 4000  # for what comes flying in


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run
    subprocess.run([sys.executable, "src/report.py", str(run)], cwd=ROOT, check=True)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        page.goto((run / "report.html").resolve().as_uri())
        page.screenshot(path=DOCS / "report.png")
        _tensorboard(page, run)
        browser.close()
    _side_by_side([run / "figures" / f"{name}.png" for name in SIDE_BY_SIDE])
    for name in ("report", "tensorboard", "inspect"):
        with Image.open(DOCS / f"{name}.png") as picture:
            picture.convert("RGB").quantize(128).save(DOCS / f"{name}.png", optimize=True)


def _tensorboard(page: Page, run: Path) -> None:
    server = program.TensorBoard(default.get_plugins())
    words = ["--logdir", str(run), "--host", "127.0.0.1", "--port", "0"]
    server.configure(["tensorboard", *words])
    page.goto(f"{server.launch()}#custom_scalars")
    page.locator("vz-line-chart2").first.wait_for(timeout=60_000)
    page.wait_for_timeout(WAIT_MS)
    page.screenshot(path=DOCS / "tensorboard.png")


def _side_by_side(paths: list[Path]) -> None:
    pictures = [Image.open(path).convert("RGB") for path in paths]
    height = max(picture.height for picture in pictures)
    whole = Image.new("RGB", (sum(p.width for p in pictures), height), "white")
    left = 0
    for picture in pictures:
        whole.paste(picture, (left, 0))
        left += picture.width
    whole.save(DOCS / "inspect.png")


if __name__ == "__main__":
    main()
