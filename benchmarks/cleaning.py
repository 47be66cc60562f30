"""What `avsync audit --clean` makes of clips of which some are moved and some have another's voice.

python benchmarks/cleaning.py --data STORE --splits FILE [--split test] [--corpus-offset-ms 20]
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from record import write_record

from avsync.data.store.reader import PreparedClip, Store
from avsync.data.store.splits import clips_of_split
from avsync.pipelines.audit.clip_offsets import clean_rows, measure_offsets
from avsync.pipelines.check.check_file import load_model
from avsync.tasks.calibration import calibration_of
from avsync.timing import SAMPLE_RATE

# Of the clips, these shares are spoilt.
MOVED, SWAPPED = 0.2, 0.2
MOVES_MS = (80.0, 800.0)
KINDS = ("as they are", "moved", "with another's voice")


class SpoiltStore:
    """Clips of a store, some of them moved or with the voice of another.

    Args:
        store: prepared clips.
        places: of those used.
        seed: of what is spoilt, and how.
    """

    def __init__(self, store: Store, places: Sequence[int], seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.store, self.places = store, list(places)
        order = rng.permutation(len(places))
        moved, swapped = round(MOVED * len(places)), round(SWAPPED * len(places))
        self.kinds = ["as they are"] * len(places)
        self.moves_ms = [0.0] * len(places)
        for place in order[:moved]:
            self.kinds[place] = "moved"
            size = np.exp(rng.uniform(*np.log(MOVES_MS)))
            self.moves_ms[place] = float(rng.choice([-1, 1]) * size)
        for place in order[moved : moved + swapped]:
            self.kinds[place] = "with another's voice"

    def __getitem__(self, number: int) -> PreparedClip:
        clip = self.store[self.places[number]]
        wav = np.asarray(clip.wav_16k)
        if self.kinds[number] == "moved":
            wav = moved(wav, self.moves_ms[number])
        elif self.kinds[number] == "with another's voice":
            other = self.store[self.places[(number + 1) % len(self.places)]]
            wav = np.resize(np.asarray(other.wav_16k), len(wav))
        return clip._replace(wav_16k=wav)


def moved(wav: np.ndarray, lead_ms: float) -> np.ndarray:
    """The sound so that it leads by `lead_ms` more, with silence where it has none."""
    lead = round(lead_ms * SAMPLE_RATE / 1000)
    out = np.zeros_like(wav)
    if lead >= 0:
        out[: len(wav) - lead] = wav[lead:]
    else:
        out[-lead:] = wav[:lead]
    return out


def measure(store: SpoiltStore, model: str, offset_ms: float) -> dict[str, Any]:
    """How many clips of each kind are kept, moved and dropped, and how right the moves are."""
    every = range(len(store.places))
    sync_model = load_model(model)
    offsets = measure_offsets(sync_model, calibration_of(sync_model), store, every)  # type: ignore[arg-type]
    rows = clean_rows(list(offsets), offset_ms)
    actions: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    left_ms = []
    for number, row in enumerate(rows):
        actions[store.kinds[number]][row.action] += 1
        if row.action == "move" and store.kinds[number] == "moved":
            assert row.offset_ms is not None
            left_ms.append(row.offset_ms - offset_ms - store.moves_ms[number])
    sizes = np.abs(left_ms)
    return {
        "actions": {kind: dict(counts) for kind, counts in actions.items()},
        "moved_within_45_ms": int((sizes <= 45).sum()),
        "mean_size_left_ms": round(float(sizes.mean()), 1) if len(sizes) else None,
        "wrong_before": sum(kind != "as they are" for kind in store.kinds),
        "wrong_after": actions["moved"]["keep"]
        + actions["with another's voice"]["keep"]
        + actions["with another's voice"]["move"]
        + actions["as they are"]["move"]
        + int((sizes > 45).sum()),
        "kept": sum(row.action != "drop" for row in rows),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--splits", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--corpus-offset-ms", "--zero-ms", type=float, default=20.0)
    parser.add_argument("--model", default="dense_sync")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    store = Store(given.data)
    places = clips_of_split(store, given.splits, given.split)
    figures = measure(SpoiltStore(store, places, given.seed), given.model, given.corpus_offset_ms)
    figures = {"data": given.data.name, "split": given.split, "clips": len(places), **figures}
    for kind, counts in figures["actions"].items():
        print(f"{kind}: " + ", ".join(f"{action} {count}" for action, count in counts.items()))
    print(
        f"wrong clips: {figures['wrong_before']} of {figures['clips']} before, "
        f"{figures['wrong_after']} of {figures['kept']} after; "
        f"what moves leave: {figures['mean_size_left_ms']} ms"
    )
    print(f"written to {write_record('cleaning', figures)}")


if __name__ == "__main__":
    main()
