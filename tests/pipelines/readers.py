"""Lip readers that write one word for any input: their errors are known on paper."""

from dataclasses import asdict

import torch
from training.spoken import READER

from avsync import weights
from avsync.tasks.lipreading.vocabulary import END
from avsync.tasks.registry import create_model

WORDS = ("bin", "blue", "now", "please")


def write_reader(path, word=None, symbols=WORDS, model="lip_reader", unit="words"):
    """Write a checkpoint whose reader writes `word` in every frame, or nothing at all."""
    reader = asdict(READER) | {"symbols": symbols, "unit": unit}
    config = {"reader": reader} if model == "av_syncnet" else reader
    torch.manual_seed(0)
    built = create_model(model, config=config)
    classifier = (built if model == "lip_reader" else built.reader).classifier
    with torch.no_grad():
        classifier.weight.zero_()
        classifier.bias.zero_()
        classifier.bias[END if word is None else 1 + symbols.index(word)] = 9
    weights.save(path, built.state_dict(), config)
    return path
