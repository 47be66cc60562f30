"""SSIM against torchmetrics': `python benchmarks/ssim_speed.py`.

Lower halves of faces of 3 s, both in this process, in turn, on the same numbers in float64. The
time is that of the processor, the least of several runs.
"""

import argparse

import torch
from bss_speed import least_seconds
from record import machine, write_record
from torchmetrics.functional.image import structural_similarity_index_measure

from avsync.metrics.image import ssim

SIZE = (75, 3, 48, 96)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    true = torch.rand(SIZE, generator=generator, dtype=torch.float64)
    made = (true + 0.1 * torch.randn(SIZE, generator=generator, dtype=torch.float64)).clamp(0, 1)

    def theirs() -> float:
        return float(structural_similarity_index_measure(made, true, sigma=1.5, data_range=1.0))

    found, seconds = least_seconds([lambda: ssim(made, true), theirs], options.repeats)
    figures = {
        "size": SIZE,
        "ours_s": round(seconds[0], 3),
        "torchmetrics_s": round(seconds[1], 3),
        "ratio": round(seconds[1] / seconds[0], 1),
        "largest_difference": abs(found[0] - found[1]),
    }
    print(machine(), figures)
    write_record("ssim_speed", figures)


if __name__ == "__main__":
    main()
