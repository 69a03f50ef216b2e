"""A trained network as one file for other programs: `export.py --format onnx`."""

import argparse
from pathlib import Path
from typing import NoReturn

from digits.commands import argparse_app
from digits.exporting import export


def task(arguments: argparse.Namespace) -> int:
    ckpt_path = argparse_app.checkpoint_path(arguments.ckpt)
    return export.export(arguments.format, ckpt_path, arguments.output, arguments.config_dir)


def main() -> NoReturn:
    parser = argparse_app.Parser(description=__doc__)
    parser.add_argument(
        "--format",
        required=True,
        choices=export.SUFFIXES,
        help="onnx and torch (torch.export) hold the whole computation, safetensors the weights, "
        "float16 and int8 the weights in a half and a quarter of the bytes",
    )
    argparse_app.add_ckpt(parser)
    argparse_app.add_config_dir(parser)
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help="what to write; default: in the run's folder export/digits.onnx, digits.pt2, "
        "digits.safetensors, digits-int8.safetensors and so on",
    )
    argparse_app.run(parser, task)


if __name__ == "__main__":
    main()
