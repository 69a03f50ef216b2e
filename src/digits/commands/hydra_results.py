"""What became of jobs, as Hydra's sweepers want to be told."""

from typing import Any

from hydra.core.utils import JobReturn, JobStatus

from digits.runs.folder import DIVERGED, FINISHED, RunFolder
from digits.sweeps.launch import Job, Outcome


class JobFailedError(Exception):
    """A job did, and has said why."""


def returned(job: Job, value: Any) -> JobReturn:
    failed = isinstance(value, Exception)
    status = JobStatus.FAILED if failed else JobStatus.COMPLETED
    return JobReturn(overrides=list(job.words), status=status, _return_value=value)


def of_before(job: Job) -> JobReturn:
    status = RunFolder(job.folder).status()
    assert status is not None
    is_lost = status.status == DIVERGED
    return returned(job, JobFailedError(status.error) if is_lost else status.objective)


def result_of(outcome: Outcome) -> JobReturn:
    status = outcome.status
    is_good = status.status == FINISHED
    value = outcome.objective if is_good else JobFailedError(status.error or status.status)
    return returned(outcome.job, value)
