"""Data sets of 28x28 images in MNIST's format, in the folders where torchvision keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase
from typing import Literal

from digits.data import mnist

Name = Literal["mnist", "fashion_mnist", "kmnist", "emnist_digits", "emnist_letters", "qmnist"]


@dataclass(frozen=True)
class ImageSet:
    """`files` are images and labels to train on, and to test with. `md5` has their sums or, if they
    are in a zip file, that of `archive`: of files as they are or, `by_content`, as unpacked.
    """

    folder: str
    mirrors: tuple[str, ...]  # URL prefixes
    md5: tuple[str, ...]
    files: tuple[str, ...] = (*mnist.TRAIN, *mnist.TEST)
    class_names: tuple[str, ...] | None = None  # None: the digits 0 to 9
    archive: str | None = None
    by_content: bool = False
    is_transposed: bool = False
    first_label: int = 0
    max_bytes: int = 1 << 26  # of a file
    debian: Path | None = None  # where the Debian package dataset-* of this name has the files

    @property
    def sums(self) -> Mapping[str, str]:
        return dict(zip([self.archive] if self.archive else self.files, self.md5, strict=True))


def _emnist(split: str, names: tuple[str, ...] | None = None, first_label: int = 0) -> ImageSet:
    kinds = [f"{part}-{kind}-ubyte" for part in ("train", "test")
             for kind in ("images-idx3", "labels-idx1")]  # fmt: skip
    return ImageSet(
        "EMNIST", ("https://biometrics.nist.gov/cs_links/EMNIST/",),
        ("58c8d27c78d21e728a6bc7b3cc06412e",), tuple(f"emnist-{split}-{kind}.gz" for kind in kinds),
        names, "gzip.zip", is_transposed=True, first_label=first_label, max_bytes=1 << 30,
    )  # fmt: skip


MNIST = ImageSet(
    "MNIST",
    ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"),
    tuple(mnist.MD5.values()), max_bytes=mnist.MAX_BYTES,
)  # fmt: skip
SETS: dict[str, ImageSet] = {
    "mnist": MNIST,
    "fashion_mnist": ImageSet(
        "FashionMNIST", ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        ("f4a8712d7a061bf5bd6d2ca38dc4d50a", "9018921c3c673c538a1fc5bad174d6f9",
         "8181f5470baa50b63fa0f6fddb340f0a", "15d484375f8d13e6eb1aabb0c3f46965"),
        class_names=("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt",
                     "Sneaker", "Bag", "Ankle boot"),
        by_content=True,  # Debian packs them in its own way
        debian=Path("/usr/share/datasets/fashion-mnist"),
    ),
    "kmnist": ImageSet(
        "KMNIST", ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
        ("bdb82020997e1d708af4cf47b453dcf7", "e144d726b3acfaa3e44228e80efcd344",
         "5c965bf0a639b31b8f53240b1b52f4d7", "7320c461ea6c1c855c0b718fb2a4b134"),
        class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    ),
    "emnist_digits": _emnist("digits"),
    "emnist_letters": _emnist("letters", tuple(ascii_lowercase), first_label=1),
    "qmnist": ImageSet(
        "QMNIST", ("https://raw.githubusercontent.com/facebookresearch/qmnist/master/",),
        ("ed72d4157d28c017586c42bc6afe6370", "0058f8dd561b90ffdd0f734c6a30e5e4",
         "1394631089c404de565df7b7aeaf9412", "5b5b05890a5e13444e108efe57b788aa"),
        ("qmnist-train-images-idx3-ubyte.gz", "qmnist-train-labels-idx2-int.gz",
         "qmnist-test-images-idx3-ubyte.gz", "qmnist-test-labels-idx2-int.gz"),
    ),
}  # fmt: skip
