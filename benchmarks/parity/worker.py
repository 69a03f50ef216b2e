"""`python worker.py SIDE SEED...`: print each training's record as a line of JSON."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from parity.record import KERAS


def side(kind: str) -> Callable[[int], Mapping[str, Any]]:
    """Import what a side needs: Keras's interpreter may have no torch. A check is the same again,
    alone in its process.
    """
    name = kind.removeprefix("check_")
    if name in KERAS:
        from parity import keras_book

        return partial(keras_book.run, seed_once=name == "keras_seeded")
    import torch
    from parity import bare

    torch.set_num_threads(1)
    if name == "trace":
        from parity import trace

        return trace.run
    if name.startswith("ours"):
        from parity import ours

        return ours.run_plain if name == "ours_plain" else ours.run
    return partial(
        bare.run,
        glorot=name != "bare_torch_init",
        keras_rule=name in ("bare_keras_rule", "bare_one_order"),
        one_order=name == "bare_one_order",
    )


def main() -> None:
    name, *seeds = sys.argv[1:]
    run = side(name)
    for seed in map(int, seeds):
        begin = time.process_time()
        record = run(seed)
        seconds = round(time.process_time() - begin, 1)
        line = {"side": name, "seed": seed, **record, "cpu_seconds": seconds}
        print("\n" + json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
