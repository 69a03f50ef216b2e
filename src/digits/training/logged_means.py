"""What `self.log` gathers over an epoch: kept in a checkpoint, so that a run that goes on within an
epoch ends it with the means it would have had. Lightning begins to gather anew.
"""

from typing import Any

from lightning.pytorch.trainer.connectors.logger_connector.result import (
    _ResultCollection,
    _ResultMetric,
)
from torch import Tensor

STATE = ("value", "cumulated_batch_size", "_update_count")


class LoggedMeans(_ResultCollection):
    """Of a metric object that was logged nothing is kept here: its own state is."""

    def __init__(self, training: bool) -> None:
        super().__init__(training)
        self.before: dict[str, dict[str, Any]] = {}

    def so_far(self) -> dict[str, dict[str, Any]]:
        return {
            key: {name: getattr(result, name) for name in STATE if hasattr(result, name)}
            for key, result in self.items()
            if result.is_tensor and result.meta.on_epoch and not result.has_reset
        }

    def go_on_from(self, before: dict[str, dict[str, Any]]) -> None:
        """Each joins in as it is logged again. Raises what looking into other data raises."""
        for state in before.values():
            count = state["_update_count"]
            sums = [value for name, value in state.items() if name != "_update_count"]
            if state.keys() - set(STATE) or "value" not in state or type(count) is not int:
                raise TypeError("a logged mean has a value and a count")
            if not all(isinstance(value, Tensor) and value.shape == () for value in sums):
                raise TypeError("a logged mean is one number")
        self.before = before

    def __setitem__(self, key: str, result: _ResultMetric) -> None:
        super().__setitem__(key, result)
        for name, value in self.before.pop(key, {}).items():
            setattr(result, name, value)
