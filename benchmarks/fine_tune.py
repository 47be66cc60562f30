"""What fine-tuning gives on clips unlike those of training: small blurred mouths, telephone sound.

python benchmarks/fine_tune.py --data STORE --splits FILE --work FOLDER [--steps 100]
"""

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
from record import write_record
from scipy.signal import butter, sosfilt

from avsync.data.store.reader import PreparedClip, Store
from avsync.data.store.records import SourceRecord
from avsync.data.store.splits import clips_of_split
from avsync.data.store.writer import SourceWriter, write_tables
from avsync.timing import SAMPLE_RATE
from avsync.training.data.sync import ClipData
from avsync.training.engine.loop import LoopSettings
from avsync.training.recipes.fine_tune import FIGURES_FILE, FineTuneRecipe, train

SMALL_PX, CROP_PX = 14, 96
BAND_HZ = (300, 3400)
NOISE_DB = 15.0


def spoil(clip: PreparedClip, seed: int) -> dict[str, np.ndarray]:
    """The clip's mouth as a far camera sees it, and its voice as a telephone gives it."""
    small = [
        cv2.resize(crop, (SMALL_PX, SMALL_PX), interpolation=cv2.INTER_AREA) for crop in clip.mouth
    ]
    mouth = np.stack([cv2.resize(crop, (CROP_PX, CROP_PX)) for crop in small])
    band = butter(4, BAND_HZ, "bandpass", fs=SAMPLE_RATE, output="sos")
    wav = sosfilt(band, np.asarray(clip.wav_16k))
    noise = np.random.default_rng(seed).normal(size=len(wav))
    wav = wav + noise * np.sqrt((wav**2).mean()) * 10 ** (-NOISE_DB / 20)
    return {"mouth": mouth, "face": mouth, "wav_16k": wav, "wav": wav}


def write_spoilt(store: Store, places: list[int], path: Path) -> None:
    """A store of these clips, spoilt."""
    records = {}
    for place in places:
        clip, row = store[place], store.rows[place]
        key = clip.id.rpartition(".")[0]
        arrays = {**spoil(clip, place), "boxes": clip.boxes, "points": clip.points}
        with SourceWriter(path, key) as writer:
            for name, values in arrays.items():
                writer.array(0, name).append(np.asarray(values))
            facts = row._replace(id=f"{key}.0", track=0, sample_rate=SAMPLE_RATE)
            records[key] = SourceRecord(row.source, (facts,))
            writer.finish(records[key])
    write_tables(path, records)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=80)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--corpus-offset-ms", "--zero-ms", type=float, default=20.0)
    given = parser.parse_args()
    store, spoilt = Store(given.data), given.work / "spoilt"
    places = clips_of_split(store, given.splits, "train")[: given.clips]
    places += clips_of_split(store, given.splits, "val")[:20]
    write_spoilt(store, places, spoilt)
    rows = {}
    for encoders in ("frozen", "last", "all"):
        started_s = time.monotonic()
        output = given.work / encoders
        train(
            FineTuneRecipe(
                clips=ClipData(
                    data=(spoilt,),
                    splits=given.splits,
                    corpus_offset_ms=(given.corpus_offset_ms,),
                    batch=8,
                ),
                loop=LoopSettings(
                    output=output, steps=given.steps, lr=3e-4, warmup=10, ema=0.9, validate_every=0
                ),
                encoders=encoders,  # type: ignore[arg-type]
            )
        )
        figures = json.loads((output / FIGURES_FILE).read_text())
        rows[encoders] = figures | {"seconds": round(time.monotonic() - started_s)}
        print(encoders, rows[encoders], flush=True)
    figures = {"data": given.data.name, "clips": given.clips, "steps": given.steps, "seed": 0}
    print(f"written to {write_record('fine_tune', {**figures, 'encoders': rows})}")


if __name__ == "__main__":
    main()
