"""The files and commands of docs/your-own.md, as they stand there."""

import re
import shutil
from pathlib import Path

from support.commands import ROOT

TEXT = (ROOT / "docs" / "your-own.md").read_text()
FILE = re.compile(r"`([\w/]+\.(?:py|yaml))`\n\n```\w+\n(.*?)```", re.DOTALL)
COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
]
(NOTEBOOK,) = re.findall(r"## In a notebook\n\n```python\n(.*?)```", TEXT, re.DOTALL)


def write(folder: Path) -> None:
    """All of them into `folder`, with the picture that the commands name."""
    for name, content in FILE.findall(TEXT):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    shutil.copy(ROOT / "docs" / "drawings" / "photo.jpg", folder / "photo.jpg")
