"""Which jobs a sweep has, and where each is."""

from collections.abc import Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from digits.errors import InputError
from digits.runs.overrides import is_of_folder
from digits.sweeps.folder import SweepFolder, for_jobs, identity
from digits.sweeps.launch import Job

BY_NUMBER = "${hydra.job.num}"


class Plan:
    """Of the sweep in `folder`; what it has already counts if it `goes_on`."""

    def __init__(self, folder: SweepFolder, config: DictConfig, goes_on: bool) -> None:
        self.folder, self.config = folder, config
        self.known = folder.known() if goes_on else {}
        self.taken = set(self.known.values())
        self.names = folder.planned()  # of jobs, and their words

    def jobs(self, each: Sequence[Sequence[str]], first: int, loader: Any) -> list[Job]:
        """The jobs with the words of `each`, where they are already; new ones are numbered from
        `first`. A job is called by those of its words that not all share.
        """
        shared = set.intersection(*map(set, each)) if len(each) > 1 else set()
        return [self._job(words, first + i, shared, loader) for i, words in enumerate(each)]

    def _job(self, words: Sequence[str], number: int, shared: set[str], loader: Any) -> Job:
        label = " ".join(word for word in words if word not in shared and not is_of_folder(word))
        own = identity(words)
        name = self.known.get(own)
        if name is None:
            name = self._new_name(words, number, loader)
            self.known[own] = name
            self.taken.add(name)
            self.names[name] = for_jobs(words)
        number = int(name) if name.isdecimal() else number
        return Job(number, tuple(for_jobs(words)), self.folder.path / name, label)

    def _new_name(self, words: Sequence[str], number: int, loader: Any) -> str:
        raw = OmegaConf.to_container(self.config.hydra.sweep, resolve=False)
        assert isinstance(raw, dict)
        if raw["subdir"] != BY_NUMBER:
            return self._name_told(words, number, loader)
        while str(number) in self.taken:
            number += 1
        return str(number)

    def _name_told(self, words: Sequence[str], number: int, loader: Any) -> str:
        """By hydra.sweep.subdir, for which the job's settings must be known."""
        before = HydraConfig.instance().cfg
        config = loader.load_sweep_config(self.config, list(words))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        try:
            HydraConfig.instance().cfg = config
            name = str(OmegaConf.select(config, "hydra.sweep.subdir"))
        finally:
            HydraConfig.instance().cfg = before
        if not name.strip():
            raise InputError(f"hydra.sweep.subdir={name}: expected a folder")
        return name
