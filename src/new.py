"""Write a folder of your own: a model, a data set, an experiment and their tests, ready to run.
`--schemas configs` writes anew what an editor needs to know of the settings in that folder.
"""

import argparse
import shlex
from pathlib import Path
from typing import NoReturn

from digits.commands import argparse_app
from digits.errors import InputError
from digits.files import ROOT, TEMPLATES, called, write_atomically
from digits.imports import importing, look_here_too


def task(arguments: argparse.Namespace) -> None:
    folder = Path(arguments.folder)
    if arguments.schemas:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; expected one of YAML files, say configs")
        write_schemas(folder)
    else:
        copy(folder)
        write_schemas(folder / "configs")
        train = f"{called('train').replace('src/', f'{ROOT}/src/')} --config-dir=configs"
        sweep = f"{train} -m experiment=shapes model.width=2,4,8 seed=0,1"
        there = "" if folder == Path() else f"cd {shlex.quote(str(folder))}\n"
        print(f"\n{there}{train} experiment=shapes\n{sweep}\npytest")


def copy(folder: Path) -> None:
    """Copy the templates. Raises InputError, and copies none, if a file is there already."""
    paths = sorted(path for kind in ("py", "yaml") for path in TEMPLATES.rglob(f"*.{kind}"))
    targets = {folder / path.relative_to(TEMPLATES): path for path in paths}
    if there := [target for target in targets if target.exists()]:
        raise InputError(f"{there[0]}: is there already; expected a folder without it")
    for target, path in targets.items():
        write_atomically(target, path.read_bytes())
        print(target)


def write_schemas(configs: Path) -> None:
    with importing():
        from digits.commands import schemas

    look_here_too(str(configs.resolve().parent))
    schemas.write(configs)
    print(f"{configs}/schemas")


def main() -> NoReturn:
    parser = argparse_app.Parser(description=__doc__)
    parser.add_argument("folder", metavar="FOLDER", help="where to write; no file is overwritten")
    parser.add_argument("--schemas", action="store_true", help="only FOLDER/schemas, of its YAMLs")
    argparse_app.run(parser, task)


if __name__ == "__main__":
    main()
