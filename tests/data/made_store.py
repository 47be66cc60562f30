"""Make a store of clips that are given as arrays."""

from pathlib import Path

import numpy as np

from avsync.data.store.reader import CROP_SIZE, Store
from avsync.data.store.records import ClipInfo, SourceRecord
from avsync.data.store.writer import SourceWriter, write_tables
from avsync.timing import SAMPLE_RATE


def made_store(path: Path, clips: dict[str, tuple[np.ndarray, np.ndarray]], **row) -> Store:
    """Write crops `(T, 96, 96, 3)`, used for face and mouth, and audio, by `SPEAKER/NAME`."""
    records = {}
    for path_name, (crops, wav) in clips.items():
        speaker, name = path_name.split("/")
        key = f"{speaker}_{name}"
        frames = len(crops)
        facts = {"id": f"{key}.0", "source": f"{path_name}.mp4", "speaker": speaker, "track": 0}
        facts |= {"frames": frames, "start_s": 0.0, "face_px": 80.0, "score": 0.9}
        facts |= {"sample_rate": SAMPLE_RATE, **row}
        arrays = {"face": crops, "mouth": crops, "wav_16k": wav, "wav": wav}
        arrays |= {"boxes": np.zeros((frames, 4)), "points": np.zeros((frames, 5, 2))}
        with SourceWriter(path, key) as writer:
            for name, values in arrays.items():
                writer.array(0, name).append(values)
            records[key] = SourceRecord(facts["source"], (ClipInfo(**facts),))
            writer.finish(records[key])
    write_tables(path, records)
    return Store(path)


def moving(seed: int, frames: int = 50, every: int = 1) -> np.ndarray:
    """Return crops `(T, 96, 96, 3)` of noise that changes with each `every`-th frame."""
    rng = np.random.default_rng(seed)
    shape = (-(-frames // every), CROP_SIZE, CROP_SIZE, 3)
    images = rng.integers(0, 256, shape, dtype=np.uint8)
    return images.repeat(every, axis=0)[:frames]


def loud(seed: int, frames: int = 50, level: float = 0.1) -> np.ndarray:
    """Return noise whose loudness changes at random, 10 times a second."""
    rng = np.random.default_rng(seed)
    samples = frames * SAMPLE_RATE // 25
    steps = rng.uniform(0.05, 1, 1 + 10 * frames // 25)
    shape = np.interp(np.arange(samples), np.linspace(0, samples, len(steps)), steps)
    return (level * shape * rng.normal(size=samples)).astype(np.float32)
