"""Which way a score is better."""

from collections.abc import Mapping
from typing import Any

LESS_IS_BETTER = ("loss", "error", "err", "nll", "mse", "mae", "rmse", "perplexity", "ece", "wer")
BEST = "_best"  # at the end of a name: the best value of all epochs


def less_is_better(name: str, settings: Mapping[str, Any] | None = None) -> bool:
    """As the callback of a run's `settings` that monitors it says (callbacks.best.mode); else less
    is better of a loss or an error (the last word of the name, see LESS_IS_BETTER), and of seconds.
    """
    name = name.removesuffix(BEST)
    for callback in ((settings or {}).get("callbacks") or {}).values():
        has_monitor = isinstance(callback, Mapping) and callback.get("monitor") == name
        if has_monitor and callback.get("mode") in ("min", "max"):
            return bool(callback["mode"] == "min")
    last = name.replace("/", "_").rpartition("_")[2].lower()
    return last in (*LESS_IS_BETTER, "seconds")
