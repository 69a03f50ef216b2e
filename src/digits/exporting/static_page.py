"""The page that reads drawings in one file, without a server: `export.py --format web`. It is made
of the served page's own files, but for modules that have another version in this package's `web`.
"""

import os
import re
import sys
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path

from digits.errors import InputError
from digits.exporting.export import beside
from digits.files import PACKAGE, ROBUST, home, relative, write_atomically
from digits.imports import importing

OWN, SERVED = Path(__file__).with_name("web"), PACKAGE / "serving" / "web"
MODULE = re.compile(r' *<script type="module" src="([\w.]+)"></script>\n')
IMPORT = re.compile(r'^import (\{.*\}) from "\./([\w.]+)";$', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:class|const|function) (\w+))", re.MULTILINE)
CSP = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
CSP += "img-src data: blob:; connect-src data:"


def write(ckpt_path: str, output: Path | None, config_dirs: Sequence[str] = ()) -> int:
    """Write the page into the folder `output`, with a checkpoint's or a safetensors file's network
    as int8 weights. Return the exit code: 1 if int8 changes many answers. Raises InputError for a
    network that the page does not compute.
    """
    folder = output or _folder(Path(os.path.abspath(ckpt_path)))
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--output {folder}: a file; expected a folder")
    with importing():
        from digits.prediction import confidence, loading, network

    weights = loading.from_file(ckpt_path, config_dirs).weights
    if weights is None:
        expected = "expected a network of one hidden layer of ReLUs"
        raise InputError(f"--format web --ckpt {ckpt_path}: {expected}")
    data = network.packed(weights, {"temperature": f"{confidence.measured().temperature:g}"})
    if not ckpt_path.endswith(".safetensors") and not _agrees(ckpt_path, data):
        print("error: it differs from the checkpoint; nothing is written", file=sys.stderr)
        return 1
    model = loading.described(ckpt_path).for_others()
    content = page(data, str(model)).encode()
    write_atomically(folder / "index.html", content)
    print(f"{relative(folder / 'index.html')}  {len(content) / 1e6:.1f} MB")
    return 0


def _folder(ckpt: Path) -> Path:
    return (home() / "outputs" if ckpt == ROBUST else beside(ckpt, "DIR")) / "web"


def _agrees(ckpt_path: str, data: bytes) -> bool:
    with importing():
        from digits.exporting import small
        from digits.prediction import loading
        from digits.runs import checkpoint
    return small.agree(loading.network_of(ckpt_path, checkpoint.read(ckpt_path)), data)


def page(weights: bytes, model: str) -> str:
    """The page's HTML with everything in it; `model` tells people which network it is."""
    html = _read("index.html")
    names = [name for name in MODULE.findall(html) if name != "model.js"]  # it asks the server
    script = bundle(names).replace('fetch("network")', "fetch(NETWORK)")
    network = _url("application/octet-stream", weights)
    script = f'const NETWORK = "{network}";\n{script}'
    about = f"Read in your browser by {escape(model)}. Nothing you draw leaves this page, which "
    about += "takes every drawing for a digit."
    style = r'<link rel="stylesheet" href="([\w.]+)">'
    html = re.sub(style, lambda css: f"<style>\n{_read(css[1])}</style>", html)
    for pattern, text in {
        MODULE.pattern: "",
        r"favicon\.svg": _url("image/svg+xml", _read("favicon.svg").encode()),
        r"(?<=<head>)": f'\n  <meta http-equiv="Content-Security-Policy" content="{CSP}">',
        r"(?=</head>)": "<style>.widths { grid-column: 1 / -1 !important; }</style>\n",
        r" Photos work too.*?(?=</p>)": "",
        r'<label class="button">.*?</label>': '<input id="file" hidden>',
        r'<div id="examples".*?</div>': '<div id="examples" hidden></div>',
        r"(?<=<p>)Nothing you draw.*?(?=</p>)": about,
        r"; the <a[^.]*": "",
        r"(?=</body>)": f"<script>\n{script}</script>\n",
    }.items():
        html = re.sub(pattern, text.replace("\\", r"\\"), html, flags=re.DOTALL)
    return html


def _url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{b64encode(data).decode()}"


def _read(name: str) -> str:
    own = OWN / name
    return (own if own.exists() else SERVED / name).read_text()


def bundle(entries: Sequence[str]) -> str:
    """Modules and all that they import as one classic script: a page from the disk can't import."""
    found: dict[str, str] = {}

    def add(name: str) -> None:
        source = _read(name)
        for _, other in IMPORT.findall(source):
            if other not in found:
                add(other)
        inside = EXPORT.sub("", IMPORT.sub(r'const \1 = modules["\2"];', source))
        names = ", ".join(EXPORT.findall(source))
        found[name] = f'modules["{name}"] = (() => {{\n{inside}return {{ {names} }};\n}})();\n'

    for entry in entries:
        add(entry)
    return "const modules = {};\n" + "".join(found.values())
