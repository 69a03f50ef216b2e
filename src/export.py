"""A trained network as one file for other programs: `export.py --format onnx`."""

import argparse
from functools import partial
from pathlib import Path
from typing import NoReturn

from digits.commands import argparse_app
from digits.exporting import export, static_page


def task(arguments: argparse.Namespace) -> int:
    is_web = arguments.format == "web"
    ckpt_path = argparse_app.checkpoint_path(arguments.ckpt or ("robust" if is_web else "latest"))
    write = static_page.write if is_web else partial(export.export, arguments.format)
    return write(ckpt_path, arguments.output, arguments.config_dir)


def main() -> NoReturn:
    parser = argparse_app.Parser(description=__doc__)
    parser.add_argument(
        "--format",
        required=True,
        choices=export.KINDS,
        help="onnx and torch (torch.export) hold the whole computation, safetensors the weights, "
        "float16 and int8 the weights in a half and a quarter of the bytes; web is a page that "
        "reads drawings by itself, from a web server or the disk",
    )
    argparse_app.add_ckpt(parser, default="latest, robust for web")
    parser.set_defaults(ckpt=None)
    argparse_app.add_config_dir(parser)
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help="what to write, for web a folder; default: in the run's folder export/digits.onnx, "
        "digits.pt2, digits.safetensors, digits-int8.safetensors, web and so on",
    )
    argparse_app.run(parser, task)


if __name__ == "__main__":
    main()
