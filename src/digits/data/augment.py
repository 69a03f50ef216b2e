"""Augmentation: other images of the same digits, made of a whole batch at once on its device.

Shapes: B batch, H W pixels, P = H * W, C colours, F fields (where an image's pixels are taken from,
along one axis), M functions of which a field is the sum.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from digits.errors import InputError

# takes uint8 images, what draws the random numbers, and the epoch; gives float32 in [0, 1]
Augment = Callable[[Tensor, torch.Generator, int], Tensor]

AFFINE = 3  # functions: one that grows along x, one along y, a constant
VARIANCE_KEPT = 0.995


class Deformation:
    """Draws for each image how it is deformed, with which pen it is written, and its noise. Of all
    but `elastic`, an image's strength is drawn evenly up to the given one, in both directions.

    `elastic` is the standard deviation, in pixels, of each pixel's displacement along each axis. It
    changes over `sigma` pixels, as in Simard et al. 2003, whose alpha 34 at sigma 4 is 1.38 pixels.
    `rotation` is in degrees, `scale` a fraction of the size (along each axis apart), `shear` pixels
    along x for one along y, `shift` pixels along each axis. `pen` is how many pixels, at most 1,
    each side of a stroke grows or shrinks; `contrast` the fraction of the ink that fades; `noise`
    the standard deviation of what is added to the ink, which is in [0, 1].

    From the fraction `weaker_from` of a run's `epochs` on all strengths fall, evenly, to the
    fraction `at_end` of themselves: a network ends better on images closer to those it will read
    (He et al. 2019, Data Augmentation Revisited).
    """

    def __init__(
        self,
        elastic: float = 0.0,
        rotation: float = 0.0,
        scale: float = 0.0,
        shear: float = 0.0,
        shift: float = 0.0,
        pen: float = 0.0,
        contrast: float = 0.0,
        noise: float = 0.0,
        sigma: float = 4.0,
        weaker_from: float = 1.0,
        at_end: float = 1.0,
        epochs: int | None = None,
    ) -> None:
        self.elastic, self.rotation, self.scale, self.shear = elastic, rotation, scale, shear
        self.shift, self.pen, self.contrast, self.noise = shift, pen, contrast, noise
        self.sigma, self.weaker_from, self.at_end = sigma, weaker_from, at_end
        highest: dict[str, float] = dict.fromkeys(("pen", "contrast", "weaker_from", "at_end"), 1)
        highest |= {"rotation": 180, "scale": 0.9, "sigma": 1000}
        for name, value in vars(self).items():
            low, high = 0.5 if name == "sigma" else 0, highest.get(name, 100)
            if not low <= value <= high:
                raise InputError(
                    f"data.augment.{name}={value}: expected a number from {low} to {high}"
                )
        self.epochs = epochs or -1
        self.moves = any((elastic, rotation, scale, shear, shift))
        self.functions_MP = self.grid_FP = torch.empty(0, 0)

    def strength(self, epoch: int) -> float:
        """Return the fraction of all strengths that is left in an epoch, from 0."""
        first, last = self.weaker_from * self.epochs, self.epochs - 1
        gone = (epoch - first) / (last - first) if last > first >= 0 else 0.0
        return 1 - (1 - self.at_end) * min(max(gone, 0.0), 1.0)

    def __call__(self, images_BHW: Tensor, draw: torch.Generator, epoch: int = 0) -> Tensor:
        """Return images of the same shape, float32 in [0, 1]. Colours are deformed alike."""
        strength = self.strength(epoch)
        pen, contrast, noise = (strength * of for of in (self.pen, self.contrast, self.noise))
        x_BCHW = (images_BHW / 255).view(len(images_BHW), -1, *images_BHW.shape[-2:])
        if self.moves:
            padding = "border" if x_BCHW.shape[1] > 1 else "zeros"
            grid_BHW2 = self.grid(x_BCHW, draw, strength)
            x_BCHW = F.grid_sample(x_BCHW, grid_BHW2, padding_mode=padding, align_corners=True)
        if pen:
            half = len(x_BCHW) // 2  # they come in any order
            amount_B111 = _even(x_BCHW, draw, 1).add_(1).mul_(pen / 2)[0]
            for some, other in ((slice(half), grown), (slice(half, None), thinned)):
                x_BCHW[some].lerp_(other(x_BCHW[some]), amount_B111[some])
        if contrast:
            x_BCHW *= _even(x_BCHW, draw, 1).sub_(1).mul_(contrast / 2).add_(1)[0]
        if noise:
            deviation_B111 = _even(x_BCHW, draw, 1).add_(1).mul_(noise / 2)[0]
            noise_BCHW = torch.empty_like(x_BCHW).normal_(generator=draw)
            x_BCHW = x_BCHW.addcmul_(noise_BCHW, deviation_B111).clamp_(0, 1)
        return x_BCHW.view(images_BHW.shape)

    def grid(self, x_BCHW: Tensor, draw: torch.Generator, strength: float = 1.0) -> Tensor:
        """Draw where each pixel of (B, H, W) is taken from: x and y, -1 and 1 at the outer pixels.

        The displacement is a Gaussian process, so a sum of few functions with random factors; a
        rotation is one of such functions, too. So all fields are one product of matrices.
        """
        count, side = len(x_BCHW), x_BCHW.shape[-1]
        if self.functions_MP.shape[1] != side * side or self.functions_MP.device != x_BCHW.device:
            self.functions_MP = functions(side, self.sigma).to(x_BCHW.device)
            self.grid_FP = x_BCHW.new_empty(0, 0)
        if len(self.grid_FP) < 2 * count:
            self.grid_FP = x_BCHW.new_empty(2 * count, side * side)
        factors_FM = x_BCHW.new_empty(2 * count, len(self.functions_MP))
        normal = x_BCHW.new_empty(2 * count, len(self.functions_MP) - AFFINE)  # views are slow
        factors_FM[:, :-AFFINE] = normal.normal_(std=strength * self.elastic, generator=draw)
        turn, wide, high, shear, right, down = _even(x_BCHW, draw, 6).mul_(strength).flatten(1)
        turn, wide, high = turn * math.radians(self.rotation), wide * self.scale, high * self.scale
        cos, sin, half = turn.cos(), turn.sin(), (side - 1) / 2
        wide, high, shear = 1 + wide, 1 + high, shear * self.shear
        to_x = cos * wide, (cos * shear - sin) * high, right * self.shift
        to_y = sin * wide, (sin * shear + cos) * high, down * self.shift
        factors_FM[:, -AFFINE:] = torch.cat([torch.stack(to_x, 1), torch.stack(to_y, 1)])
        grid_FP = self.grid_FP[: 2 * count]
        torch.mm(factors_FM.div_(half), self.functions_MP, out=grid_FP)
        return grid_FP.view(2, count, side, side).permute(1, 2, 3, 0)


def functions(side: int, sigma: float) -> Tensor:
    """Return (M, side * side): the eigenfunctions that hold VARIANCE_KEPT of the variance of noise
    smoothed over `sigma` pixels, as long as their standard deviation in pixels, and AFFINE others.
    """
    place = torch.arange(side, dtype=torch.float64)
    covariance = torch.exp(-((place[:, None] - place) ** 2) / (4 * sigma**2))
    value_S, vector_SS = torch.linalg.eigh(covariance)
    value_SS = value_S.clamp(min=0).outer(value_S.clamp(min=0))  # along both axes
    order = value_SS.flatten().argsort(descending=True)
    shares = value_SS.flatten()[order].cumsum(0) / value_SS.sum()
    kept = order[: int((shares < VARIANCE_KEPT).sum()) + 1]
    along_y, along_x = kept // side, kept % side
    products = torch.einsum("ym,xm->myx", vector_SS[:, along_y], vector_SS[:, along_x])
    products *= value_SS[along_y, along_x].sqrt()[:, None, None]
    x_SS = (place - (side - 1) / 2).expand(side, side)
    affine = torch.stack([x_SS, x_SS.t(), torch.ones_like(x_SS)])
    return torch.cat([products, affine]).flatten(1).float()


def grown(x_BCHW: Tensor) -> Tensor:
    """Return images in which ink reaches a pixel further up, down, left and right."""
    return _nearest(x_BCHW, torch.maximum)


def thinned(x_BCHW: Tensor) -> Tensor:
    """Return images whose strokes are a pixel thinner on each side. What would vanish, as it is
    thinner than that already, stays: the residue of Lantuejoul's skeleton.
    """
    eroded = _nearest(x_BCHW, torch.minimum)
    return x_BCHW - grown(eroded) + eroded


def _nearest(x_BCHW: Tensor, choose: Callable[..., Tensor]) -> Tensor:
    """Return what `choose` takes of each pixel and its four neighbours."""
    chosen = x_BCHW.clone()
    for here, there in ((slice(1, None), slice(-1)), (slice(-1), slice(1, None))):
        choose(chosen[..., here, :], x_BCHW[..., there, :], out=chosen[..., here, :])
        choose(chosen[..., here], x_BCHW[..., there], out=chosen[..., here])
    return chosen


def _even(x_BCHW: Tensor, draw: torch.Generator, count: int) -> Tensor:
    """Draw `count` numbers from -1 to 1 for each image: (count, B, 1, 1, 1)."""
    return x_BCHW.new_empty(count, len(x_BCHW), 1, 1, 1).uniform_(-1, 1, generator=draw)
