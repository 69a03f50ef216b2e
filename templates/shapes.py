import torch

from digits import ImageDataModule


class Shapes(ImageDataModule):
    """Three classes of 16 x 16 pixels: a bar that is thin, wide or wider, under noise."""

    side, classes = 16, 3  # the model takes them over
    class_names = "thin", "wide", "wider"  # for figures and reports

    def read(self, stage):
        count = 900 if stage == "fit" else 300
        labels = torch.arange(count) % 3
        noise = torch.Generator().manual_seed(count)
        images = torch.randint(0, 128, (count, 16, 16), dtype=torch.uint8, generator=noise)
        for image, label in zip(images, labels.tolist(), strict=True):
            image[:, : 2 + 4 * label] = 255
        return images, labels
