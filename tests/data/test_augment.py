import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import grey_dilation, grey_erosion, map_coordinates
from torch import Tensor

from digits.data.augment import Deformation, functions, grown, thinned
from digits.data.batches import Batches, EpochShuffle, InOrder
from digits.errors import InputError

CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def noise(count: int, side: int = 28) -> Tensor:
    return torch.randint(0, 256, (count, side, side), dtype=torch.uint8, generator=seeded())


def slowly(image: Tensor, factors: Tensor, normal: Tensor, moves: dict[str, float]) -> Any:
    """Deform one image pixel by pixel, from the numbers drawn for it: -1 to 1, and (2, M)."""
    side, half = len(image), (len(image) - 1) / 2
    turn, wide, high, shear, right, down = factors.tolist()
    turn *= math.radians(moves["rotation"])
    wide, high = 1 + wide * moves["scale"], 1 + high * moves["scale"]
    fields = functions(side, 4.0)[:-3].view(-1, side, side)
    coordinates = np.empty((2, side, side))
    for y in range(side):
        for x in range(side):
            u, v = (x - half) * wide, (y - half) * high  # scaled, sheared, turned, shifted
            u += v * shear * moves["shear"]
            moved = (normal * fields[:, y, x]).sum(1) * moves["elastic"]
            taken_x = math.cos(turn) * u - math.sin(turn) * v + right * moves["shift"]
            taken_y = math.sin(turn) * u + math.cos(turn) * v + down * moves["shift"]
            coordinates[:, y, x] = taken_y + moved[1] + half, taken_x + moved[0] + half
    padded, place = np.pad(image / 255.0, 9), coordinates + 9  # black goes on outside
    return map_coordinates(padded, place, order=1)


@pytest.mark.parametrize(
    "moves",
    [
        {"elastic": 1.5, "rotation": 0.0, "scale": 0.0, "shear": 0.0, "shift": 0.0},
        {"elastic": 0.8, "rotation": 25.0, "scale": 0.2, "shear": 0.3, "shift": 2.5},
    ],
)
def test_a_batch_is_deformed_as_each_image_alone(moves: dict[str, float]) -> None:
    images = noise(3)
    x_BHW = Deformation(**moves)(images, seeded())
    draw = seeded()
    normal = torch.empty(2, 3, len(functions(28, 4.0)) - 3).normal_(generator=draw)
    factors = torch.empty(6, 3).uniform_(-1, 1, generator=draw)
    for i in range(3):
        expected = slowly(images[i], factors[:, i], normal[:, i], moves)
        # coordinates to 28 pixels in float32 err by 1e-5, and noise changes by 1 within a pixel
        assert np.abs(x_BHW[i].numpy() - expected).max() < 1e-4


def test_a_displacement_has_the_deviation_and_reach_asked_for() -> None:
    """Over 4,000 fields a covariance errs by 1/sqrt(4000) = 0.016; 0.5 % of it is left out."""
    field = Deformation(elastic=2.0, sigma=3.0).grid(torch.empty(4000, 1, 28, 28), seeded())
    still = Deformation(elastic=0.0, rotation=1e-9).grid(torch.empty(4000, 1, 28, 28), seeded())
    moved_BHW2 = (field - still) * 13.5 / 2  # pixels, of a standard deviation of 1
    at, others = moved_BHW2[:, 14, 14, 0], ((14, 14), (14, 18), (10, 18), (14, 27))
    found = [float((at * moved_BHW2[:, y, x, 0]).mean()) for y, x in others]
    expected = [math.exp(-square / 36) for square in (0, 16, 32, 169)]
    assert found == pytest.approx(expected, abs=0.06)
    assert float((at * moved_BHW2[:, 14, 14, 1]).mean()) == pytest.approx(0, abs=0.06)


def test_31_functions_hold_the_displacement() -> None:
    assert functions(28, 4.0).shape == (31 + 3, 784)


def test_a_turn_is_at_most_as_far_as_asked_and_either_way() -> None:
    """A bar along x: the angle of its ink says how far it was turned."""
    bar = torch.zeros(400, 28, 28, dtype=torch.uint8)
    bar[:, 13:15, 4:24] = 255
    x_BHW = Deformation(rotation=30.0)(bar, seeded()).double()
    place = torch.arange(28) - 13.5
    xy = (x_BHW * place[:, None] * place).sum((1, 2))
    xx = (x_BHW * place**2).sum((1, 2)) - (x_BHW * place[:, None] ** 2).sum((1, 2))
    degrees = torch.rad2deg(torch.atan2(2 * xy, xx) / 2)
    assert degrees.min() == pytest.approx(-30, abs=1)
    assert degrees.max() == pytest.approx(30, abs=1)
    assert degrees.std() == pytest.approx(30 / math.sqrt(3), rel=0.1)  # drawn evenly


def test_a_pen_is_thicker_or_thinner() -> None:
    x_BCHW = noise(2).div(255)[:, None]
    for i in range(2):
        image = x_BCHW[i, 0].numpy()
        dilated = grey_dilation(image, footprint=CROSS, mode="nearest")
        assert np.array_equal(grown(x_BCHW)[i, 0].numpy(), dilated)
        eroded = grey_erosion(image, footprint=CROSS, mode="nearest")
        vanishes = image - grey_dilation(eroded, footprint=CROSS, mode="nearest")
        assert np.allclose(thinned(x_BCHW)[i, 0].numpy(), eroded + vanishes, atol=1e-6)


def test_a_thin_stroke_stays_and_a_thick_one_thins() -> None:
    x_BCHW = torch.zeros(1, 1, 9, 9)
    x_BCHW[..., 1] = 1
    x_BCHW[..., 4:8] = 1
    assert thinned(x_BCHW)[0, 0, 4].tolist() == [0, 1, 0, 0, 0, 1, 1, 0, 0]
    assert grown(x_BCHW)[0, 0, 4].tolist() == [1, 1, 1, 1, 1, 1, 1, 1, 1]


def test_half_a_batch_gets_a_thicker_pen_and_half_a_thinner_one() -> None:
    images = torch.zeros(400, 28, 28, dtype=torch.uint8)
    images[:, 10:18, 4:24] = 255  # 160 pixels of ink; 216 grown, 112 thinned (corners stay)
    ink = Deformation(pen=0.5)(images, seeded()).sum((1, 2))
    thick, thin = ink[:200], ink[200:]
    assert (thick.min(), thick.max()) == pytest.approx((160, 160 + 28), abs=0.5)
    assert (thin.max(), thin.min()) == pytest.approx((160, 160 - 24), abs=0.5)
    for count in (1, 3):  # none is left out
        assert (Deformation(pen=0.5)(images[:count], seeded()).sum((1, 2)) != 160).all()


def test_ink_fades_and_gets_noise() -> None:
    images = torch.full((400, 28, 28), 128, dtype=torch.uint8)
    faded = Deformation(contrast=0.6)(images, seeded())
    assert (faded.min(), faded.max()) == pytest.approx((0.4 * 128 / 255, 128 / 255), abs=0.005)
    noisy = Deformation(noise=0.1)(images, seeded()).std((1, 2))
    assert (noisy.min(), noisy.max()) == pytest.approx((0, 0.1), abs=0.005)
    assert noisy.mean() == pytest.approx(0.05, rel=0.1)
    loud = Deformation(noise=1.0)(noise(8), seeded())
    assert (loud.min(), loud.max()) == (0, 1)


def test_one_deformation_serves_batches_of_all_sizes() -> None:
    used = Deformation(elastic=1.0)
    for images in (noise(2), noise(5), noise(3), noise(1, 9), noise(1, 12)):
        assert torch.equal(used(images, seeded()), Deformation(elastic=1.0)(images, seeded()))


def test_without_strength_images_stay_as_they_are() -> None:
    images = noise(4)
    assert torch.equal(Deformation()(images, seeded()), images / 255)


def test_colours_and_channels_are_deformed_alike() -> None:
    grey = noise(4)
    deform = Deformation(elastic=1.0, shift=1.0)
    alone = deform(grey[:, None], seeded())
    assert torch.equal(alone[:, 0], deform(grey, seeded()))
    white = torch.full((4, 3, 28, 28), 255, dtype=torch.uint8)
    assert deform(white, seeded()).min() == pytest.approx(1)  # no black comes in from outside
    assert deform(white[:, :1], seeded()).min() == 0


def test_a_batch_is_drawn_by_seed_epoch_process_and_number() -> None:
    def batches(seed: int = 0, epoch: int = 0, rank: int = 0) -> list[Tensor]:
        sampler = EpochShuffle(32, seed, rank, 2)
        sampler.set_epoch(epoch)
        images = noise(1).expand(32, -1, -1)  # one image, so that only its deformations differ
        made = Batches(images, torch.arange(32), 4, sampler, Deformation(elastic=1.0))
        return [x_BHW for x_BHW, _ in made]

    first = batches()
    assert all(map(torch.equal, first, batches()))
    for other in (batches(seed=1), batches(epoch=1), batches(rank=1), first[1:]):
        assert not any(map(torch.equal, first, other))


def test_all_strengths_fall_towards_the_end() -> None:
    all_of_it = {"elastic": 1.0, "rotation": 9.0, "scale": 0.2, "shear": 0.1, "shift": 2.0,
                 "pen": 0.6, "contrast": 0.8, "noise": 0.3}  # fmt: skip
    falls = Deformation(**all_of_it, weaker_from=0.5, at_end=0.2, epochs=11)
    assert [falls.strength(epoch) for epoch in (0, 5, 6, 8, 10, 20)] == pytest.approx(
        [1, 1, 1 - 0.8 / 9, 1 - 0.8 * 5 / 9, 0.2, 0.2]
    )
    weak = Deformation(**{name: 0.2 * strength for name, strength in all_of_it.items()})
    assert torch.allclose(falls(noise(4), seeded(), 10), weak(noise(4), seeded()), atol=1e-5)
    assert torch.equal(falls(noise(4), seeded(), 5), Deformation(**all_of_it)(noise(4), seeded()))
    for epochs in (-1, None):  # as many as one likes
        assert Deformation(1.0, weaker_from=0.5, at_end=0.2, epochs=epochs).strength(1000) == 1


def test_an_epoch_s_batches_have_its_strength() -> None:
    sampler, deform = EpochShuffle(4, 0), Deformation(shift=5.0, weaker_from=0, at_end=0, epochs=2)
    images, labels = noise(4), torch.arange(4)
    sampler.set_epoch(1)
    x_BHW, y_B = next(iter(Batches(images, labels, 4, sampler, deform)))
    assert torch.allclose(x_BHW, images[y_B] / 255, atol=1e-5)
    sampler.set_epoch(0)
    x_BHW, y_B = next(iter(Batches(images, labels, 4, sampler, deform)))
    assert not torch.allclose(x_BHW, images[y_B] / 255, atol=0.1)


def test_images_in_order_are_not_augmented() -> None:
    images = noise(4)
    batches = Batches(images, torch.arange(4), 4, InOrder(4), Deformation(elastic=1.0))
    assert torch.equal(next(iter(batches))[0], images / 255)


@pytest.mark.parametrize(
    ("strength", "told"),
    [
        ({"pen": 1.5}, "data.augment.pen=1.5: expected a number from 0 to 1"),
        ({"rotation": -5}, "data.augment.rotation=-5: expected a number from 0 to 180"),
        ({"noise": math.nan}, "data.augment.noise=nan: expected a number from 0 to 100"),
        ({"sigma": 0}, "data.augment.sigma=0: expected a number from 0.5 to 1000"),
    ],
)
def test_a_strength_out_of_range_is_one_line(strength: dict[str, float], told: str) -> None:
    with pytest.raises(InputError) as error:
        Deformation(**strength)
    assert str(error.value) == told
