"""Measure how well `avsync audit --clean` finds shifted clips and clips with swapped audio.

    python benchmarks/sync/audit_cleaning.py --data STORE --splits FILE [--split test] \
        [--corpus-offset-ms 20]

One fifth of the clips is shifted by 80 to 800 ms, one fifth gets the audio of another clip.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avsync.data.store.reader import PreparedClip, Store
from avsync.data.store.splits import clips_of_split
from avsync.pipelines.audit.findings import clean_rows, measure_offsets
from avsync.pipelines.check.check_file import load_model
from avsync.tasks.calibration import calibration_of
from avsync.timing import SAMPLE_RATE
from benchmarks.record import write_record

# Shares of the clips that are shifted and that get the audio of another clip.
SHIFTED_SHARE, SWAPPED_SHARE = 0.2, 0.2
SHIFTS_MS = (80.0, 800.0)
# The kinds are keys of the record.
INTACT, SHIFTED, SWAPPED = KINDS = ("as they are", "moved", "with another's voice")


class CorruptedStore:
    """Clips of a store, one part shifted, one part with the audio of another clip.

    Args:
        store: prepared clips.
        indices: indices of the clips used.
        seed: seed that chooses clips and shifts.
    """

    def __init__(self, store: Store, indices: Sequence[int], seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.store, self.indices = store, list(indices)
        order = rng.permutation(len(indices))
        shifted, swapped = round(SHIFTED_SHARE * len(indices)), round(SWAPPED_SHARE * len(indices))
        self.kinds = [INTACT] * len(indices)
        self.shifts_ms = [0.0] * len(indices)
        for number in order[:shifted]:
            self.kinds[number] = SHIFTED
            size = np.exp(rng.uniform(*np.log(SHIFTS_MS)))
            self.shifts_ms[number] = float(rng.choice([-1, 1]) * size)
        for number in order[shifted : shifted + swapped]:
            self.kinds[number] = SWAPPED

    def __getitem__(self, number: int) -> PreparedClip:
        clip = self.store[self.indices[number]]
        wav = np.asarray(clip.wav_16k)
        if self.kinds[number] == SHIFTED:
            wav = shift(wav, self.shifts_ms[number])
        elif self.kinds[number] == SWAPPED:
            other = self.store[self.indices[(number + 1) % len(self.indices)]]
            wav = np.resize(np.asarray(other.wav_16k), len(wav))
        return clip._replace(wav_16k=wav)


def shift(wav: np.ndarray, lead_ms: float) -> np.ndarray:
    """Shift audio `(N,)` so that it leads by `lead_ms` more, padded with silence."""
    lead = round(lead_ms * SAMPLE_RATE / 1000)
    out = np.zeros_like(wav)
    if lead >= 0:
        out[: len(wav) - lead] = wav[lead:]
    else:
        out[-lead:] = wav[:lead]
    return out


def measure(store: CorruptedStore, model: str, offset_ms: float) -> dict[str, Any]:
    """Count the clips of each kind that are kept, moved and dropped, and the errors of moves."""
    numbers = range(len(store.indices))
    sync_model = load_model(model)
    offsets = measure_offsets(sync_model, calibration_of(sync_model), store, numbers)  # type: ignore[arg-type]
    rows = clean_rows(list(offsets), offset_ms)
    actions: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    residuals_ms = []
    for number, row in enumerate(rows):
        actions[store.kinds[number]][row.action] += 1
        if row.action == "move" and store.kinds[number] == SHIFTED:
            assert row.offset_ms is not None
            residuals_ms.append(row.offset_ms - offset_ms - store.shifts_ms[number])
    sizes = np.abs(residuals_ms)
    return {
        "actions": {kind: dict(counts) for kind, counts in actions.items()},
        "moved_within_45_ms": int((sizes <= 45).sum()),
        "mean_size_left_ms": round(float(sizes.mean()), 1) if len(sizes) else None,
        "wrong_before": sum(kind != INTACT for kind in store.kinds),
        "wrong_after": actions[SHIFTED]["keep"]
        + actions[SWAPPED]["keep"]
        + actions[SWAPPED]["move"]
        + actions[INTACT]["move"]
        + int((sizes > 45).sum()),
        "kept": sum(row.action != "drop" for row in rows),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--splits", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--corpus-offset-ms", "--zero-ms", type=float, default=20.0)
    parser.add_argument("--model", default="dense_sync")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    store = Store(options.data)
    indices = clips_of_split(store, options.splits, options.split)
    corrupted = CorruptedStore(store, indices, options.seed)
    figures = measure(corrupted, options.model, options.corpus_offset_ms)
    about = {"data": options.data.name, "split": options.split, "clips": len(indices)}
    figures = {**about, **figures}
    for kind, counts in figures["actions"].items():
        print(f"{kind}: " + ", ".join(f"{action} {count}" for action, count in counts.items()))
    print(
        f"wrong clips: {figures['wrong_before']} of {figures['clips']} before, "
        f"{figures['wrong_after']} of {figures['kept']} after; "
        f"mean residual of moved clips: {figures['mean_size_left_ms']} ms"
    )
    print(f"written to {write_record('sync/audit_cleaning', figures)}")


if __name__ == "__main__":
    main()
