"""Import what a command needs as fast as possible.

`import lightning` takes 3 s where torch takes 1.3. Half of that is for torch._dynamo, the module
behind torch.compile, and for torchmetrics' image and audio metrics, which need torchvision and
scipy.signal. Here these are imported only when somebody asks for them.
"""

import atexit
import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache, wraps
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

from digits import signals

DYNAMO, METRICS = "torch._dynamo", "torchmetrics"
PLOT, FLOPS = "torchmetrics.utilities.plot", "torch.utils.flop_counter"


def look_here_too(*folders: str) -> None:
    """Let Python find a user's classes in `folders` and the current one, after all packages."""
    for folder in (os.getcwd(), *folders):
        if folder not in sys.path:
            sys.path.append(folder)


@contextmanager
def importing() -> Iterator[None]:
    """Switch the garbage collector off in a block of imports, which is a quarter faster, and keep
    it from looking through the imported objects later, which takes 0.25 s each time.
    """
    # TensorBoard's own switch; else it imports TensorFlow, if that is installed, which takes 5 s
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))
    try:
        with nullcontext() if "torch" in sys.modules else _without_collector():
            yield
    finally:
        signals.raise_again()


@contextmanager
def _without_collector() -> Iterator[None]:
    gc.disable()
    try:
        yield
        gc.freeze()
        atexit.register(gc.unfreeze)  # else some libraries report leaks at the end
    finally:
        gc.enable()


def import_lightning() -> None:
    """Import Lightning without its slow parts; if that fails, leave it to a plain import."""
    before = set(sys.modules)
    if before & {"lightning", METRICS, DYNAMO}:
        return
    try:
        import torch  # noqa: F401

        with _standing_in(DYNAMO, OptimizedModule=Compiled, disable=_kept_out_of):
            plot = _later(PLOT, "plot_single_or_multi_val")
            with _standing_in(
                PLOT, _AX_TYPE=object, _PLOT_OUT_TYPE=object, plot_single_or_multi_val=plot
            ):
                _import_some_metrics()
            with _standing_in(FLOPS, FlopCounterMode=_later(FLOPS, "FlopCounterMode")):
                import lightning  # noqa: F401
        _let_optimizers_be()
    except Exception:
        for name in set(sys.modules) - before:
            if name.partition(".")[0] in ("lightning", METRICS):
                del sys.modules[name]


@contextmanager
def _standing_in(name: str, **parts: Any) -> Iterator[None]:
    """Put a module with these `parts` in the place of the module `name`."""
    sys.modules[name] = stand_in = ModuleType(name)
    vars(stand_in).update(parts)
    try:
        yield
    finally:
        del sys.modules[name]


def _later(module: str, name: str) -> Callable[..., Any]:
    """Return a function that imports `module` when it is called, and calls its function `name`."""

    def call(*arguments: Any, **named: Any) -> Any:
        return getattr(import_module(module), name)(*arguments, **named)

    return call


class _SomeMetrics(ModuleType):
    """torchmetrics, whose own code runs once somebody asks for a name that is still missing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.__class__ = ModuleType  # type: ignore[assignment]
        assert self.__spec__ is not None
        assert self.__spec__.loader is not None
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def _import_some_metrics() -> None:
    spec = find_spec(METRICS)
    assert spec is not None
    sys.modules[METRICS] = metrics = module_from_spec(spec)
    metrics.__class__ = _SomeMetrics
    metrics.__version__ = version(METRICS)  # type: ignore[attr-defined]
    metrics._logger = logging.getLogger(METRICS)  # type: ignore[attr-defined]
    for module, name in (("metric", "Metric"), ("collections", "MetricCollection")):
        import_module(f"{METRICS}.utilities")  # it and `metric` import each other
        setattr(metrics, name, getattr(import_module(f"{METRICS}.{module}"), name))


def _has_dynamo() -> bool:
    return getattr(sys.modules.get(DYNAMO), "__spec__", None) is not None


class _OfCompiled(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return _has_dynamo() and isinstance(instance, sys.modules[DYNAMO].OptimizedModule)


class Compiled(metaclass=_OfCompiled):
    """The type of compiled modules for Lightning's isinstance; without torch._dynamo none exist."""


def _let_optimizers_be() -> None:
    """Keep an optimizer's first call from importing torch._dynamo, only to disable it there."""
    from torch.optim import Optimizer

    for method in vars(Optimizer).values():
        function = getattr(method, "__wrapped__", None)
        if getattr(method, "__module__", "") == "torch.optim.optimizer" and function:
            function.__dict__.setdefault("__dynamo_disable", _kept_out_of(function))


def _kept_out_of(function: Callable[..., Any], *more: Any, **options: Any) -> Callable[..., Any]:
    """Do what torch._dynamo.disable does; until that is imported, nothing is traced."""

    @cache
    def disabled() -> Callable[..., Any]:
        made: Callable[..., Any] = sys.modules[DYNAMO].disable(function, *more, **options)
        return made

    @wraps(function)
    def run(*arguments: Any, **named: Any) -> Any:
        return (disabled() if _has_dynamo() else function)(*arguments, **named)

    return run
