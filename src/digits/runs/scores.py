"""Which way a score is better, by its name."""

LESS_IS_BETTER = ("loss", "error", "err", "nll", "mse", "mae", "rmse", "perplexity", "ece", "wer")
BEST = "_best"  # at the end of a name: the best value of all epochs


def less_is_better(name: str) -> bool:
    """Of a loss or an error (the last word of the name, see LESS_IS_BETTER), and of seconds."""
    last = name.removesuffix(BEST).replace("/", "_").rpartition("_")[2].lower()
    return last in (*LESS_IS_BETTER, "seconds")
