"""BSS Eval against museval's: `python benchmarks/bss_speed.py`.

Two sources of 4 s and of 30 s at 16 kHz, coloured noise with leaks, version 3 over the whole sound
and version 4 in windows of 1 s, estimates not permuted; both in this process, in turn, on the same
numbers. The time is that of the processor, the least of several runs: it stays what it is where
other programs run beside, as long as both sides have one thread.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from museval_metrics import load_museval_metrics
from record import machine, write_record
from scipy.signal import lfilter
from torch import Tensor

from avsync.metrics.bss_eval import bss_eval_v3, bss_eval_v4

SAMPLE_RATE = 16000
SECONDS = (4, 30)
# Above that the last digits are those of rounding.
COMPARED_DB = 60


def make_sound(seconds: int) -> tuple[Tensor, Tensor]:
    """Two references `(1, 2, N)` of falling spectra, and an estimate of each."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((4, seconds * SAMPLE_RATE))
    sounds = lfilter([1], [1, -0.9], noise)
    references = sounds[:2]
    estimates = references + 0.2 * references[::-1] + 0.05 * sounds[2:]
    return torch.from_numpy(references.copy())[None], torch.from_numpy(estimates)[None]


def least_seconds(runs: list[Callable[[], Any]], repeats: int) -> tuple[list[Any], list[float]]:
    """The last results and the least seconds of processor time of each, run in turn."""
    results: list[Any] = [None] * len(runs)
    least = [float("inf")] * len(runs)
    for _ in range(repeats + 1):
        for place, run in enumerate(runs):
            started = time.process_time()
            results[place] = run()
            least[place] = min(least[place], time.process_time() - started)
    return results, least


def largest_difference(ours: Any, theirs: dict[str, np.ndarray]) -> float:
    """In dB, over the figures below 60 dB."""
    differences = []
    for name, figures in theirs.items():
        below = np.abs(figures) < COMPARED_DB
        differences.append(np.abs(getattr(ours, name)[0].numpy() - figures)[below])
    return float(np.concatenate(differences).max())


def measure(seconds: int, repeats: int) -> list[dict[str, Any]]:
    """Rows of both versions for sound of that length."""
    museval = load_museval_metrics()
    references, estimates = make_sound(seconds)
    theirs = [sounds[0, :, :, None].numpy() for sounds in (references, estimates)]
    window = SAMPLE_RATE
    calls: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "v3, whole sound": (
            lambda: bss_eval_v3(references, estimates),
            lambda: museval.bss_eval_sources(*theirs, compute_permutation=False),
        ),
        "v4, windows of 1 s": (
            lambda: bss_eval_v4(references, estimates, window, window),
            lambda: museval.bss_eval(*theirs, window=window, hop=window),
        ),
    }
    rows = []
    for version, runs in calls.items():
        (ours, of_museval), (our_s, museval_s) = least_seconds(list(runs), repeats)
        names = ("sdr", "sir", "sar") if version.startswith("v3") else ("sdr", "isr", "sir", "sar")
        named = {n: f.reshape(2, -1) for n, f in zip(names, of_museval, strict=False)}
        rows.append(
            {
                "version": version,
                "seconds": seconds,
                "museval_ms": 1000 * museval_s,
                "avsync_ms": 1000 * our_s,
                "ratio": museval_s / our_s,
                "largest_difference_db": largest_difference(ours, named),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    print(machine(), "1 thread")
    rows = [row for seconds in SECONDS for row in measure(seconds, repeats)]
    for row in rows:
        print(
            f"{row['version']:<20} {row['seconds']:>3} s: museval {row['museval_ms']:7.1f} ms, "
            f"avsync {row['avsync_ms']:6.1f} ms, {row['ratio']:.1f} x, "
            f"differs by {row['largest_difference_db']:.0e} dB"
        )
    print("wrote", write_record("bss_speed", {"threads": 1, "rows": rows}))


if __name__ == "__main__":
    main()
