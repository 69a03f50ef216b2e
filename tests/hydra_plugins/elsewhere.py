"""A launcher that runs each job in a process of its own, as those for joblib and SLURM do."""

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cloudpickle
from hydra.core.config_store import ConfigStore
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, configure_log
from hydra.plugins.launcher import Launcher

from support import elsewhere

ROOT = Path(__file__).parents[2]
JOB = """
import pickle, sys, cloudpickle
from hydra.core.singleton import Singleton
from hydra.core.utils import run_job
with open(sys.argv[1], "rb") as file:
    state, context, task, config = pickle.load(file)
Singleton.set_state(state)
result = run_job(task, config, "hydra.sweep.dir", "hydra.sweep.subdir", context)
with open(sys.argv[1], "wb") as file:
    cloudpickle.dump(result, file)
"""


class Elsewhere(Launcher):
    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        self.hydra_context, self.config, self.task = hydra_context, config, task_function

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        sweep = Path(self.config.hydra.sweep.dir)
        sweep.mkdir(parents=True, exist_ok=True)
        return [self._one(list(words), sweep, number) for number, words in enumerate(job_overrides)]

    def _one(self, words: list[str], sweep: Path, number: int) -> JobReturn:
        config = self.hydra_context.config_loader.load_sweep_config(self.config, words)
        config.hydra.job.id = config.hydra.job.num = number
        packed = sweep / f"{number}.pickle"
        job = (Singleton.get_state(), self.hydra_context, self.task, config)
        packed.write_bytes(cloudpickle.dumps(job))
        env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        process = subprocess.Popen(
            [sys.executable, "-c", JOB, str(packed)], env=env, cwd=ROOT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        if elsewhere.TERMINATE_AT:
            while not (sweep / str(number) / elsewhere.TERMINATE_AT).exists():
                assert process.poll() is None, process.communicate()
                time.sleep(0.01)
            process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
        elsewhere.ENDED.append((process.returncode, out, err))
        result: JobReturn = pickle.loads(packed.read_bytes()) if process.returncode == 0 else None
        return result


ConfigStore.instance().store(
    "elsewhere", {"_target_": "hydra_plugins.elsewhere.Elsewhere"}, group="hydra/launcher"
)
