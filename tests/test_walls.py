"""Who may import whom, and where torch and Lightning may not be: read from the source, not run."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from support.commands import ROOT

SRC = ROOT / "src"
GROUND = {"console", "errors", "files", "imports", "machine", "signals", "text"}
MAY_IMPORT = {
    "data": {"images"},
    "model": set(),
    "images": set(),
    "runs": {"model"},
    "inspection": {"data", "model", "runs"},
    "training": {"data", "inspection", "model", "runs"},
    "prediction": {"images", "runs"},
    "exporting": {"data", "model", "prediction", "runs"},
    "serving": {"images", "prediction", "runs"},
    "sweeps": {"inspection", "runs", "training"},
    "commands": {"data", "runs", "sweeps"},
}
FACTS = "data.mnist"  # all may know them
SLOW = {"lightning", "torch", "torchmetrics", "torchvision"}
WITHOUT_TORCH = [
    *sorted(GROUND), "commands", "images", "data.mnist", "data.sets", "data.shares",
    *(f"inspection.{m}" for m in ("comparison", "evidence", "explained", "figures", "preview",
                                  "report", "statistics")),
    *(f"prediction.{m}" for m in ("answers", "confidence", "explanation", "inputs", "loading",
                                  "network", "predictor", "readers")),
    *(f"runs.{m}" for m in ("configs", "folder", "recipe", "recorded", "run", "status", "words")),
    "serving.limits",
]  # fmt: skip
WITHOUT_LIGHTNING = ["model.network", "runs.checkpoint", "prediction", "exporting", "serving"]


def modules() -> dict[str, Path]:
    """All of digits, by what follows `digits.`."""
    paths = (SRC / "digits").rglob("*.py")
    names = {".".join(p.relative_to(SRC / "digits").with_suffix("").parts): p for p in paths}
    return {name.removesuffix(".__init__"): path for name, path in names.items()}


MODULES = modules()


def imported(node: ast.AST) -> Iterator[str]:
    """Full names, of modules or of what is in them."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "a relative import"
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def at_import(node: ast.AST) -> Iterator[str]:
    """What comes with importing a module: nothing in functions, nothing for type checkers."""
    for child in ast.iter_child_nodes(node):
        is_run = not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if is_run and not for_type_checkers(child):
            yield from imported(child)
            yield from at_import(child)


def own(name: str) -> str | None:
    """The module of ours that `name` is, or is in."""
    if not name.startswith("digits."):
        return None
    name = name.removeprefix("digits.")
    return name if name in MODULES else name.rpartition(".")[0]


def room(module: str) -> str:
    return module.partition(".")[0] if "." in module else "ground"


def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


@cache
def brings(module: str) -> frozenset[str]:
    """Packages that come with `module`, by way of others of ours too."""
    found: set[str] = set()
    for name in at_import(tree(module)):
        mine = own(name)
        found |= brings(mine) if mine else {name.partition(".")[0]}
    return frozenset(found)


def test_rooms_are_entered_from_above() -> None:
    wrong = {}
    for module in MODULES.keys() - {
        "__init__",
        "notebook",
        "testing",
    }:  # as the commands outside the package
        allowed = MAY_IMPORT.get(room(module), set()) | {room(module), "ground"}
        names = [name for node in ast.walk(tree(module)) for name in imported(node)]
        entered = {room(mine): name for name in names if (mine := own(name)) and mine != FACTS}
        wrong |= {(module, at): name for at, name in entered.items() if at not in allowed}
        assert not {"train", "eval", "predict", "serve", "export", "leaderboard"} & set(names)
    assert wrong == {}


def test_neither_torch_nor_lightning_is_waited_for() -> None:
    for names, slow in ((WITHOUT_TORCH, SLOW), (WITHOUT_LIGHTNING, {"lightning"})):
        for name in names:
            inside = [m for m in MODULES if m == name or m.startswith(f"{name}.")]
            assert inside, name
            assert {m: found for m in inside if (found := brings(m) & slow)} == {}


def test_no_module_needs_itself() -> None:
    """Not even by an import in a function: two modules that do are one, or have a third between."""
    names = {
        module: {
            mine
            for node in ast.walk(tree(module))
            if not for_type_checkers(node)
            for name in imported(node)
            if (mine := own(name)) and mine != module
        }
        for module in MODULES
    }
    while leaves := {module for module, needs in names.items() if not needs & names.keys()}:
        names = {module: needs for module, needs in names.items() if module not in leaves}
    assert names == {}


PRIVATE = {
    # what else knows which words of a command line are flags?
    "hydra._internal.utils.get_args_parser": "runs.words",
    # Lightning's loop over an epoch, whose steps are written out, and what it takes batches from
    "lightning.pytorch.loops.fetchers._DataFetcher": "training.step",
    "lightning.pytorch.loops.training_epoch_loop._TrainingEpochLoop": "training.step",
}


def test_private_names_of_hydra_and_lightning_stand_in_one_module_each() -> None:
    imports, attributes = {}, set()
    for module in MODULES:
        for node in ast.walk(tree(module)):
            for name in imported(node):
                if name.startswith(("hydra.", "lightning.")) and "._" in name:
                    imports[name] = module
            if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
                of = root(node.value)
                if of in ("trainer", "callback", "loop", "connector", "strategy"):
                    attributes.add((module, node.attr))
    assert imports == PRIVATE
    # when the loop's own checkpoint callback would save within an epoch
    assert attributes == {("training.step", "_every_n_train_steps")}


def root(node: ast.AST) -> str | None:
    """`a` of a.b.c, a().b and a[0]."""
    while not isinstance(node, ast.Name):
        inner = getattr(node, "value", None) or getattr(node, "func", None)
        if inner is None:
            return None
        node = inner
    return node.id


def test_only_the_ground_is_flat_and_a_package_brings_nothing() -> None:
    flat = {path.stem for path in (SRC / "digits").glob("*.py")}
    assert flat == GROUND | {"__init__", "notebook", "testing"}
    assert {room(m) for m in MODULES if "." in m} == MAY_IMPORT.keys()
    for folder in MAY_IMPORT:
        assert (SRC / "digits" / folder / "__init__.py").read_text() == ""
        assert list((ROOT / "tests" / folder).glob("test_*.py"))
