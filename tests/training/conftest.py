"""A store of clips whose picture and sound are tied: a frame is as bright as its sound is loud."""

import json

import numpy as np
import pytest

from avsync.data.store import CROP_SIZE, Store
from avsync.data.store_writer import SourceWriter, write_tables
from avsync.timing import SAMPLE_RATE, SAMPLES_PER_FRAME

FRAMES = 40


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("store")
    records = {}
    for number, name in enumerate(["one", "two", "three"]):
        level = np.random.default_rng(number).uniform(0.1, 1, FRAMES)
        crops = np.zeros((FRAMES, CROP_SIZE, CROP_SIZE, 3), np.uint8)
        crops += (200 * level).astype(np.uint8)[:, None, None, None]
        crops[:, ::3, ::4] += 40
        at = np.arange(FRAMES * SAMPLES_PER_FRAME) / SAMPLES_PER_FRAME - 0.5
        wav = np.interp(at, np.arange(FRAMES), level)
        row = dict(id=f"{name}.0", source=f"folder/{name}.mp4", speaker="folder", track=0,
                   frames=FRAMES, start_s=0.0, face_px=80.0, score=0.9, sample_rate=SAMPLE_RATE)  # fmt: skip
        arrays = {
            "face": crops,
            "mouth": crops,
            "boxes": np.zeros((FRAMES, 4)),
            "points": np.zeros((FRAMES, 5, 2)),
            "wav_16k": wav,
            "wav": wav,
        }
        with SourceWriter(path, name) as writer:
            for array, values in arrays.items():
                writer.array(0, array).append(values)
            record = {"source": row["source"], "clips": [row], "rejected": []}
            writer.finish(record)
        records[name] = record
    write_tables(path, records)
    (path / "splits.json").write_text(json.dumps({"train": ["one", "two"], "val": ["three"]}))
    return Store(path)
