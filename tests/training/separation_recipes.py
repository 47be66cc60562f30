"""Small recipes that separate the clips of the `store` fixture from made music."""

import numpy as np
from data.wav_files import tone, write_wav_file

from avsync.data.sampling.mixtures import MixtureLevels
from avsync.training.data.mixtures import MixtureData
from avsync.training.engine.loop import LoopSettings
from avsync.training.recipes.ynet import YNetRecipe


def sounds(folder):
    """Five files, so that each split has some."""
    for number in range(5):
        rng = np.random.default_rng(number)
        wav = tone(300 + 200 * number, 2.0) * rng.uniform(0.5, 1, 32000)
        write_wav_file(folder / f"{number}.wav", wav)
    return folder


def data(store, folder, **changes):
    given = {"splits": store.path / "splits.json", "batch": 2, "validate_mixtures": 3}
    given |= {"music": (sounds(folder / "music"),), "voices": (sounds(folder / "solo"),)}
    given |= {"cache": folder / "cache"}
    return MixtureData((store.path,), **{**given, **changes})


def recipe(store, folder, **changes):
    loop = LoopSettings(folder / "run", steps=2, validate_every=0, device="cpu", optimizer="sgd")
    given = {"clips": data(store, folder), "loop": loop, "levels": MixtureLevels()}
    given |= {"kind": "u-net", "width": 0.06, "visual_width": 0.06, "seconds": 1}
    return YNetRecipe(**{**given, **changes})
