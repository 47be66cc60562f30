"""Compare the speed and the results of BSS Eval with museval's.

    python benchmarks/separation/bss_eval_speed.py [--repeats 10]

Two sources of coloured noise of 4 s and of 30 s at 16 kHz, with crosstalk and noise in the
estimates: version 3 over the whole signal, version 4 in windows of 1 s, without permutation. Both
implementations run in alternation in this process, on one thread and on the same numbers; the least
CPU time counts.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.signal import lfilter
from torch import Tensor

from avsync.metrics.bss_eval import bss_eval_v3, bss_eval_v4
from benchmarks.cpu_time import least_cpu_seconds
from benchmarks.record import machine, write_record
from benchmarks.separation.museval_metrics import load_museval_metrics

SAMPLE_RATE = 16000
SECONDS = (4, 30)
# Figures above this are dominated by rounding.
COMPARED_DB = 60


def make_signals(seconds: int) -> tuple[Tensor, Tensor]:
    """Make two references `(1, 2, N)` with low-pass spectra, and an estimate of each."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((4, seconds * SAMPLE_RATE))
    signals = lfilter([1], [1, -0.9], noise)
    references = signals[:2]
    estimates = references + 0.2 * references[::-1] + 0.05 * signals[2:]
    return torch.from_numpy(references.copy())[None], torch.from_numpy(estimates)[None]


def largest_difference(ours: Any, theirs: dict[str, np.ndarray]) -> float:
    """Return the largest difference in dB over the figures below `COMPARED_DB`."""
    differences = []
    for name, figures in theirs.items():
        below = np.abs(figures) < COMPARED_DB
        differences.append(np.abs(getattr(ours, name)[0].numpy() - figures)[below])
    return float(np.concatenate(differences).max())


def measure(seconds: int, repeats: int) -> list[dict[str, Any]]:
    """Measure both versions of BSS Eval on signals of the given length; a row for each."""
    museval = load_museval_metrics()
    references, estimates = make_signals(seconds)
    theirs = [signals[0, :, :, None].numpy() for signals in (references, estimates)]
    window = SAMPLE_RATE
    calls: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "v3, whole signal": (
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
        (ours, of_museval), (our_s, museval_s) = least_cpu_seconds(list(runs), repeats)
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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=10)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    print(machine(), "1 thread")
    rows = [row for seconds in SECONDS for row in measure(seconds, repeats)]
    for row in rows:
        print(
            f"{row['version']:<20} {row['seconds']:>3} s: museval {row['museval_ms']:7.1f} ms, "
            f"avsync {row['avsync_ms']:6.1f} ms, {row['ratio']:.1f} x, "
            f"largest difference {row['largest_difference_db']:.0e} dB"
        )
    print("wrote", write_record("separation/bss_eval_speed", {"threads": 1, "rows": rows}))


if __name__ == "__main__":
    main()
