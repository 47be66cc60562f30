"""Small talking-face models: with random weights, or one that generates an even grey."""

import math

import torch

from avsync import weights
from avsync.tasks.registry import create_model

CONFIG = {
    "encoder": {
        "dim": 16,
        "depth": 1,
        "heads": 2,
        "ffn": 32,
        "channels": (2, 3, 4, 5),
        "position_frames": 5,
    },
    "generator": {"channels": (2, 3, 4, 5, 6, 7), "decoder": (7, 6, 5, 4, 3), "drawn": 2},
    "window": 5,
}


def write_talker(path, grey=None):
    """Write a checkpoint of synctalklip; with `grey` in (0, 1) it generates only that."""
    torch.manual_seed(0)
    model = create_model("synctalklip", config=CONFIG)
    if grey is not None:
        last = model.generator.decoder.out[-1]
        with torch.no_grad():
            last.weight.zero_()
            last.bias.fill_(math.log(grey / (1 - grey)))
    weights.save(path, model.state_dict(), CONFIG)
    return path
