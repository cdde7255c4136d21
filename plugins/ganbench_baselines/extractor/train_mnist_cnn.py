"""Trains the weights of `mnist-cnn`: ``python -m ganbench_baselines.extractor.train_mnist_cnn``.

It writes ``mnist_cnn.safetensors`` and ``mnist_cnn.json`` (the measurements) into the working directory, in about ten
minutes on one core. Training and all choices use the 8,000 training images of ``mnist-10k``; its other 2,000 are used
once, at the end. The confusion matrix and the gate come from three further networks, each trained without a third of
the training images. Everything else is as for digits-cnn.
"""

from __future__ import annotations

import torch

from ganbench_baselines.dataset import mnist_10k
from ganbench_baselines.extractor.mnist_cnn import SIDE, MnistCNN, Network
from ganbench_baselines.extractor.train_cnn import answers, choose_gate, measured, standardised, write
from ganbench_baselines.extractor.train_digits_cnn import Recipe, out_of_fold, strangers, train

FOLDS = 3
RECIPE = Recipe(epochs=20, shift=1.5)  # a shift is in pixels, and these images have more of them


def build() -> Network:
    """A network that trains a third faster on a CPU."""
    return Network().to(memory_format=torch.channels_last)


def main(recipe: Recipe = RECIPE) -> None:
    """Train the networks, measure them, and write both files."""
    torch.set_num_threads(1)
    data = mnist_10k.ganbench_dataset(resolution=SIDE)
    real, held_out = data.train, data.test
    extractor = standardised(MnistCNN(), train(real, recipe, 0, build), real.x)
    test, unseen = answers(extractor, held_out), out_of_fold(real, recipe, build, MnistCNN, FOLDS)
    gate = choose_gate(unseen.confidence)
    report = measured(extractor, gate, strangers(held_out), held_out=test, out_of_fold=unseen)
    write("mnist_cnn", extractor.state_dict(), report, recipe)


if __name__ == "__main__":
    main()
