"""Who may import whom, and where torch and Lightning may not be: read from the source, not run."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from support.commands import ROOT

SRC = ROOT / "src"
GROUND = {"console", "errors", "files", "imports", "machine", "signals", "text"}
MAY_IMPORT = {
    "data": set(),
    "model": set(),
    "images": set(),
    "runs": {"model"},
    "inspection": {"data", "model", "runs"},
    "training": {"data", "inspection", "model", "runs"},
    "prediction": {"images", "runs"},
    "exporting": {"data", "model", "prediction", "runs"},
    "serving": {"images", "prediction"},
    "sweeps": {"inspection", "runs", "training"},
    "commands": {"data", "runs", "sweeps"},
}
FACTS = "data.mnist"  # all may know them
SLOW = {"lightning", "torch", "torchmetrics", "torchvision"}
WITHOUT_TORCH = [
    *sorted(GROUND),
    "commands",
    "images",
    "data.mnist",
    "data.shares",
    "inspection.comparison",
    "inspection.evidence",
    "inspection.figures",
    "inspection.preview",
    "inspection.report",
    "inspection.statistics",
    "prediction.answers",
    "prediction.confidence",
    "prediction.inputs",
    "prediction.loading",
    "prediction.predictor",
    "prediction.readers",
    "runs.configs",
    "runs.folder",
    "runs.recipe",
    "runs.recorded",
    "runs.run",
    "runs.status",
    "runs.words",
    "serving.limits",
]
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


def within(names: list[str]) -> list[str]:
    """The modules that are, or are in, `names`; each of those is one or has some."""
    chosen = [[m for m in MODULES if m == name or m.startswith(f"{name}.")] for name in names]
    assert all(chosen)
    return [module for part in chosen for module in part]


@pytest.mark.parametrize("module", sorted(MODULES))
def test_rooms_are_entered_from_above(module: str) -> None:
    if module in ("__init__", "notebook"):  # as the commands outside the package
        return
    allowed = MAY_IMPORT.get(room(module), set()) | {room(module), "ground"}
    names = [name for node in ast.walk(tree(module)) for name in imported(node)]
    entered = {room(mine): name for name in names if (mine := own(name)) and mine != FACTS}
    assert {at: name for at, name in entered.items() if at not in allowed} == {}
    assert not {"train", "eval", "predict", "serve", "export", "leaderboard"} & set(names)


@pytest.mark.parametrize("module", within(WITHOUT_TORCH))
def test_torch_is_not_waited_for(module: str) -> None:
    assert brings(module) & SLOW == set()


@pytest.mark.parametrize("module", within(WITHOUT_LIGHTNING))
def test_lightning_is_not_waited_for(module: str) -> None:
    assert "lightning" not in brings(module)


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
    found = {
        name: module
        for module in MODULES
        for node in ast.walk(tree(module))
        for name in imported(node)
        if name.startswith(("hydra.", "lightning.")) and "._" in name
    }
    assert found == PRIVATE


def test_nothing_private_of_the_trainers_is_looked_at() -> None:
    """But the loop's own, in the step that is written out."""
    found = {
        (module, node.attr)
        for module in MODULES
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Attribute) and node.attr.startswith("_")
        and root(node.value) in ("trainer", "callback", "loop", "connector", "strategy")
    }  # fmt: skip
    assert found == {("training.step", "_every_n_train_steps")}


def sources() -> dict[str, ast.Module]:
    return {str(p.relative_to(SRC)): ast.parse(p.read_text()) for p in sorted(SRC.rglob("*.py"))}


def of_hydra(module: ast.Module) -> set[str]:
    """Names that a module has from Hydra, or from calling what it has."""
    names = {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(module)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if f"{getattr(node, 'module', None) or alias.name}.".startswith("hydra.")
    }
    for node in ast.walk(module):
        if isinstance(node, ast.Assign) and root(node.value) in names:
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def root(node: ast.AST) -> str | None:
    """`a` of a.b.c, a().b and a[0]."""
    while not isinstance(node, ast.Name):
        inner = getattr(node, "value", None) or getattr(node, "func", None)
        if inner is None:
            return None
        node = inner
    return node.id


def targets(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Assign):
        parts = [p for t in node.targets for p in (t.elts if isinstance(t, ast.Tuple) else [t])]
    elif isinstance(node, ast.AugAssign | ast.AnnAssign):
        parts = [node.target]
    elif isinstance(node, ast.Call) and ast.unparse(node.func) == "setattr":
        return node.args[:1]
    else:
        return []
    return [part for part in parts if isinstance(part, ast.Attribute | ast.Subscript)]


def test_nothing_of_hydras_is_replaced() -> None:
    """Neither by an assignment nor by setattr: extension points serve."""
    found = [
        f"{name}:{target.lineno} {ast.unparse(target)}"
        for name, module in sources().items()
        for node in ast.walk(module)
        for target in targets(node)
        if root(target) in of_hydra(module)
    ]
    (put_back,) = found  # as Hydra's own run_job does: settings, not code
    assert put_back.startswith("digits/runs/configs.py:")
    assert put_back.endswith(" holder.cfg")


def test_a_patch_of_hydra_would_be_seen() -> None:
    patch = ast.parse(
        "from hydra.core.plugins import Plugins\nPlugins.sweep = 1\nsetattr(Plugins, 'x', 1)"
    )
    again = ast.parse("import hydra\nh = hydra.x.instance()\nh.cfg, y = 1, 2")
    for module, count in ((patch, 2), (again, 1)):
        found = [t for node in ast.walk(module) for t in targets(node)]
        assert [root(target) in of_hydra(module) for target in found] == [True] * count


def test_only_the_ground_is_flat_and_a_package_brings_nothing() -> None:
    flat = {path.stem for path in (SRC / "digits").glob("*.py")}
    assert flat == GROUND | {"__init__", "notebook"}
    assert {room(m) for m in MODULES if "." in m} == MAY_IMPORT.keys()
    inits = [
        path for path in (SRC / "digits").rglob("__init__.py") if path.parent != SRC / "digits"
    ]
    assert len(inits) == len(MAY_IMPORT)
    assert [path for path in inits if path.read_text()] == []


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_tests_stand_where_what_they_test_does(folder: str) -> None:
    assert list((ROOT / "tests" / folder).glob("test_*.py"))
