"""What only looks at a run does not end it."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

from lightning.pytorch.utilities.seed import isolate_rng

from digits import signals
from digits.errors import HINT, InputError, one_line, trace

log = logging.getLogger(__name__)

T = TypeVar("T")


@contextmanager
def random_kept() -> Iterator[None]:
    """Leave the random numbers to come as they were: isolate_rng does not if the block raises."""
    isolation = isolate_rng()
    isolation.__enter__()
    try:
        yield
    finally:
        isolation.__exit__(None, None, None)


def only_looks(method: Callable[..., T]) -> Callable[..., T | None]:
    """Let a run go on if `method` fails: one line warns, and it is not called again, but returns
    None. Raises InputError, signals, and OSError, since a full disk ends a run.
    """
    failed = f"{method.__name__}_failed"

    @wraps(method)
    def guarded(self: Any, *given: Any, **named: Any) -> T | None:
        if getattr(self, failed, False):
            return None
        try:
            return method(self, *given, **named)
        except (InputError, OSError):
            raise
        except Exception as error:  # of somebody's model or data, which are of another kind
            signals.raise_again()
            setattr(self, failed, True)
            said = one_line(error).removesuffix(HINT)
            log.warning("%s shows less than it could: %s", type(self).__name__, said)
            log.debug("%s", trace(error))
            return None

    return guarded
