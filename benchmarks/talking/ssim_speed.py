"""Compare the speed and the result of SSIM with torchmetrics'.

    python benchmarks/talking/ssim_speed.py [--repeats 3]

Lower halves of faces of 3 s. Both implementations run in alternation in this process, on one thread
and on the same numbers in float64; the least CPU time counts.
"""

import argparse

import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from avsync.metrics.image import ssim
from benchmarks.cpu_time import least_cpu_seconds
from benchmarks.record import machine, write_record

SIZE = (75, 3, 48, 96)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(SIZE, generator=generator, dtype=torch.float64)
    noise = torch.randn(SIZE, generator=generator, dtype=torch.float64)
    frames = (target + 0.1 * noise).clamp(0, 1)

    def theirs() -> float:
        return float(structural_similarity_index_measure(frames, target, sigma=1.5, data_range=1.0))

    found, seconds = least_cpu_seconds([lambda: ssim(frames, target), theirs], options.repeats)
    figures = {
        "size": SIZE,
        "ours_s": round(seconds[0], 3),
        "torchmetrics_s": round(seconds[1], 3),
        "ratio": round(seconds[1] / seconds[0], 1),
        "largest_difference": abs(found[0] - found[1]),
    }
    print(machine(), figures)
    write_record("talking/ssim_speed", figures)


if __name__ == "__main__":
    main()
