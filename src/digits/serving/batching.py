"""Images' bytes to predictions: a few processes read them, the network gets them in batches.

Nothing waits for a batch to fill: it is whatever was read while the one before was computed.
(Threads instead of processes wait for each other: two cores read half as many images.)
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from digits.images.drawing import Drawing
from digits.prediction.predictor import Prediction, Predictor
from digits.serving.limits import Limits
from digits.serving.workers import Readers

Outcome = Prediction | Exception


class OverloadedError(Exception):
    """More images wait, or wait longer, than the limits allow."""


class Batcher:
    """`observe` is told each batch's size."""

    def __init__(
        self,
        predictor: Predictor,
        readers: Readers,
        limits: Limits,
        observe: Callable[[int], None] = lambda size: None,
    ) -> None:
        self.predictor = predictor
        self.readers = readers
        self.limits = limits
        self.observe = observe
        self.under_way = 0
        self.drawn: list[tuple[Drawing, asyncio.Future[Prediction]]] = []
        self.running: asyncio.Task[None] | None = None
        self.thread = ThreadPoolExecutor(1)

    async def predict(self, data: bytes) -> Prediction:
        """Raises InputError if `data` is no image, OverloadedError if there is no answer soon."""
        if self.under_way >= self.limits.under_way:
            raise OverloadedError
        self.under_way += 1
        try:
            async with asyncio.timeout(self.limits.answer_s):
                return await self._recognise(await self.readers.read(data))
        except TimeoutError as error:
            raise OverloadedError from error
        finally:
            self.under_way -= 1

    def close(self) -> None:
        self.thread.shutdown(wait=False, cancel_futures=True)
        self.readers.close()

    async def _recognise(self, drawing: Drawing) -> Prediction:
        answer: asyncio.Future[Prediction] = asyncio.get_running_loop().create_future()
        self.drawn.append((drawing, answer))
        if self.running is None:
            self.running = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self.drawn:
            batch = self.drawn[: self.limits.batch]
            del self.drawn[: self.limits.batch]
            drawings = [drawing for drawing, _ in batch]
            outcomes = await loop.run_in_executor(self.thread, self._predict, drawings)
            for (_, answer), outcome in zip(batch, outcomes, strict=True):
                settle(answer, outcome)
            self.observe(len(batch))
        self.running = None

    def _predict(self, drawings: Sequence[Drawing]) -> Sequence[Outcome]:
        """One that fails does not keep the others of its batch from their predictions."""
        try:
            return self.predictor.predict(drawings)
        except Exception as error:
            if len(drawings) == 1:
                return [error]
            return [self._predict([drawing])[0] for drawing in drawings]


def settle(answer: asyncio.Future[Prediction], outcome: Outcome) -> None:
    if answer.done():  # nobody waits any more
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
