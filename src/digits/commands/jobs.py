"""The jobs that Hydra ran, wherever a launcher had them run."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.core.utils import JobReturn, JobStatus


@contextmanager
def counted() -> Iterator[list[JobReturn]]:
    """Those whose results were asked for. Hydra's own property prints a failed job's settings, too:
    our line says more.
    """
    jobs: list[JobReturn] = []

    def result(job: JobReturn) -> Any:
        jobs.append(job)
        if job.status is JobStatus.FAILED:
            raise job._return_value
        return job._return_value

    hydras = JobReturn.return_value
    JobReturn.return_value = property(result, hydras.fset)  # type: ignore[assignment, method-assign, attr-defined]
    try:
        yield jobs
    finally:
        JobReturn.return_value = hydras  # type: ignore[method-assign]
