"""A bare PyTorch loop over tensors in memory: no metrics, no logs, no checkpoint."""

import time

import torch
import torch.nn.functional as F
from common import report, settings, tile
from torch import nn
from torchvision.datasets import MNIST


def main() -> None:
    given = settings()
    train = MNIST(given.folder, train=True, download=True)
    images, labels = train.data, train.targets
    if given.images != len(train):
        chosen = tile(given.images, len(train))
        images, labels = images[chosen], labels[chosen]
    x, y = images.float() / 255, labels
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10))
    optimizer = torch.optim.RMSprop(net.parameters(), lr=1e-3, alpha=0.9, eps=1e-7)
    epoch_seconds = []
    for epoch in range(given.epochs):
        begin = time.perf_counter()
        for index in torch.randperm(len(x)).split(given.batch):
            loss = F.cross_entropy(net(x[index]), y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        epoch_seconds.append(time.perf_counter() - begin)
        print(f"epoch {epoch + 1}: loss of its last batch {loss.item():.4f}")
    test = MNIST(given.folder, train=False)
    with torch.no_grad():
        correct = net(test.data.float() / 255).argmax(1) == test.targets
    report(sum(epoch_seconds), epoch_seconds, correct.float().mean().item())


if __name__ == "__main__":
    main()
