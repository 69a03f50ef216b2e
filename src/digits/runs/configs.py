"""How Hydra finds configs: a user's own come before the project's."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from digits.errors import InputError, one_line
from digits.files import CONFIGS, DATA, called, home
from digits.runs import recorded
from digits.runs.folder import RunFolder
from digits.runs.monitors import less_is_better

_own: list[str] = []  # folders of a user's configs; Hydra searches them first


def register() -> None:
    """Define ${root:} and ${embedded:}, two folders, ${command:train}, a command as typed, and
    ${direction:val/loss}, in which the score is better: min or max.
    """
    OmegaConf.register_new_resolver(
        "direction", lambda score: "min" if less_is_better(score) else "max", replace=True
    )
    OmegaConf.register_new_resolver("root", lambda: str(home()), replace=True, use_cache=True)
    OmegaConf.register_new_resolver("embedded", lambda: str(DATA), replace=True)
    OmegaConf.register_new_resolver("command", called, replace=True)


@contextmanager
def own_first(folders: Sequence[str]) -> Iterator[None]:
    """In the block, let a config in `folders` replace the project's config of the same name."""
    before = _own[:]
    _own[:] = folders
    try:
        yield
    finally:
        _own[:] = before


def own() -> list[str]:
    return _own[:]


@contextmanager
def known_to_hydra(config: DictConfig) -> Iterator[None]:
    """In the block, give ${hydra:job.num} and the like their values in a run with `config`."""
    holder = HydraConfig.instance()
    before = holder.cfg
    try:
        holder.set_config(config)
        yield
    finally:
        holder.cfg = before


def of_run(run: RunFolder | None, config_dirs: Sequence[str] = ()) -> DictConfig:
    """Return eval's settings with a run's model and data, from the project's configs and those in
    `config_dirs`. Raises InputError for a group that is in neither.
    """
    import hydra
    import hydra.errors

    register()
    hydras = GlobalHydra.instance()
    before, hydras.hydra = hydras.hydra, None  # that of a run whose model asks for this one
    asked = recorded.words_of_groups(run, ("model", "data")) if run else []
    try:
        with own_first(config_dirs), hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
            return hydra.compose("eval", asked)
    except hydra.errors.MissingConfigException as error:
        raise InputError(f"{one_line(error)}; --config-dir=DIR says where yours are") from error
    finally:
        GlobalHydra.instance().hydra = before
