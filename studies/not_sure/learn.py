"""`python studies/not_sure/learn.py --ckpt FILE`: makes confidence.npz, by which predictions are
"not sure". FILE is of a run with data.val_size=5000: those digits choose the numbers. See
README.md.

A small network learns digits against letters, scribbles and textures; then the temperature of the
probabilities and the threshold are chosen. Shapes: N images, H W pixels, D = 784 of them.
"""

import io
import json
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src"), str(ROOT / "benchmarks" / "images")]

import doodles  # noqa: E402
import nondigits  # noqa: E402

from digits.commands import argparse_app  # noqa: E402
from digits.data import idx, mnist  # noqa: E402
from digits.data.batches import split  # noqa: E402
from digits.images import drawing  # noqa: E402
from digits.prediction import confidence, loading  # noqa: E402
from studies.calibration.scores import temperature  # noqa: E402

VAL_SIZE = 5000
TURNED_DOWN = 0.02  # of the held-out digits
HIDDEN, EPOCHS, BATCH = 160, 32, 512
LETTERS, DOODLES, TYPED = 60_000, 24_000, 6_000
SEED = 0

Seen = NDArray[np.uint8]


def seen(files: Iterable[bytes]) -> Seen:
    """What a model is shown of each image that isn't blank."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(_whole, files, chunksize=64)
        return np.stack([pixels_HW for pixels_HW in found if pixels_HW is not None])


def _whole(data: bytes) -> Seen | None:
    whole = drawing.read(data).whole
    return None if whole is None else whole.pixels_HW


def png(pixels_HW: Seen) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels_HW).save(file, "PNG")
    return file.getvalue()


def coarse(pixels_HW: Seen) -> bytes:
    """A digit at 8x8, enlarged: one of few pixels is a digit, too."""
    rows, columns = np.flatnonzero(pixels_HW.any(1)), np.flatnonzero(pixels_HW.any(0))
    tight = pixels_HW[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    page = Image.fromarray(tight).resize((6, 8), Image.Resampling.BOX)
    large = np.asarray(page.resize((150, 200), Image.Resampling.BICUBIC))
    return png(np.pad(large, 25))


def letters(seed: int) -> tuple[Seen, NDArray[np.bool_]]:
    """Letters of the choosing fonts, and which of them are kept to choose the threshold: a fifth of
    the designs.
    """
    samples = nondigits.letters("choosing", LETTERS, seed)
    designs = sorted({sample.family for sample in samples})
    kept = set(designs[::5])
    images = seen(sample.data for sample in samples)
    assert len(images) == len(samples)
    return images, np.array([sample.family in kept for sample in samples])


def bent(x_NHW: Tensor, generator: torch.Generator) -> Tensor:
    """Turned by up to 12 degrees, stretched by 12 %, sheared, moved by a pixel."""
    count = len(x_NHW)

    def random(most: float) -> Tensor:
        return (2 * torch.rand(count, generator=generator) - 1) * most

    angle, shear, scale_x, scale_y = random(0.2), random(0.15), 1 + random(0.12), 1 + random(0.12)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = scale_x * angle.cos(), scale_y * angle.cos()
    theta[:, 0, 1], theta[:, 1, 0] = shear - angle.sin(), angle.sin()
    theta[:, :, 2] = torch.stack([random(0.07), random(0.07)], 1)
    grid = F.affine_grid(theta, [count, 1, *x_NHW.shape[1:]], align_corners=False)
    return F.grid_sample(x_NHW[:, None], grid, align_corners=False)[:, 0]


def trained(digits_NHW: Seen, others_NHW: Seen) -> nn.Sequential:
    """A network whose output is above 0 for digits."""
    generator = torch.Generator().manual_seed(SEED)
    torch.manual_seed(SEED)
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(784, HIDDEN), nn.ReLU(), nn.Dropout(0.2), nn.Linear(HIDDEN, 1)
    )
    x_NHW = torch.from_numpy(np.concatenate([digits_NHW, others_NHW])).float() / 255
    y_N = torch.arange(len(x_NHW)).lt(len(digits_NHW)).float()
    weight_N = torch.where(y_N > 0, len(y_N) / len(digits_NHW), len(y_N) / len(others_NHW)) / 2
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.05)
    steps = EPOCHS * (len(x_NHW) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in range(EPOCHS):
        order = torch.randperm(len(x_NHW), generator=generator)
        for some in order[: len(x_NHW) // BATCH * BATCH].view(-1, BATCH):
            logits = net(bent(x_NHW[some], generator))[:, 0]
            loss = F.binary_cross_entropy_with_logits(logits, y_N[some], weight_N[some])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return net.eval()


def main(arguments: Namespace) -> None:
    model = loading.from_checkpoint(arguments.ckpt)
    raw, labels = idx.read(ROOT / "data" / "MNIST" / "raw", mnist.TRAIN)
    held_out, kept = split(len(raw), range(VAL_SIZE))
    images, y_N = raw.numpy(), labels.numpy()
    digits = seen(map(png, images[kept.numpy()]))
    held = seen(map(png, images[held_out.numpy()]))
    assert len(held) == VAL_SIZE
    few = seen(map(coarse, images[kept.numpy()[:12_000]]))
    typed = seen(s.data for s in nondigits.typed("0123456789", "choosing", TYPED, SEED))
    letter, choosing = letters(SEED)
    doodle = seen(doodles.several(DOODLES, SEED))
    chosen = np.arange(len(doodle)) % 5 == 0
    print(f"{len(digits)} digits, {len(typed)} typed; {len(letter)} letters, {len(doodle)} doodles")
    positive = np.concatenate([digits, few, np.repeat(typed, 2, axis=0)])
    net = trained(positive, np.concatenate([letter[~choosing], doodle[~chosen]]))

    p_NK = model.network(held)
    y_held = y_N[held_out.numpy()]
    t = temperature(p_NK, y_held)
    weights = [w.detach().numpy() for w in net.parameters()]
    scores = confidence.Sure(t, 0.0, *weights)

    def score(images: Seen) -> NDArray[np.float32]:
        return scores.score(images, confidence.tempered(model.network(images), t))

    threshold = float(np.quantile(score(held), TURNED_DOWN))
    report: dict[str, Callable[[], Seen]] = {
        "held-out digits": lambda: held,
        "typed digits": lambda: typed,
        "letters": lambda: letter[choosing],
        "doodles": lambda: doodle[chosen],
    }
    print(f"temperature {t:.2f}, threshold {threshold:.3f}")
    for name, of in report.items():
        print(f"{name:16} accepted {(score(of()) >= threshold).mean():.4f}")
    a, b, c, d = (weight.astype(np.float16) for weight in weights)
    np.savez_compressed(confidence.FILE, temperature=t, threshold=threshold, a=a, b=b, c=c, d=d)
    print(json.dumps({"file": confidence.FILE.name, "bytes": confidence.FILE.stat().st_size}))


if __name__ == "__main__":
    parser = argparse_app.Parser(description=__doc__)
    argparse_app.add_ckpt(parser)
    argparse_app.run(parser, main)
