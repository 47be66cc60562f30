"""How frames are encoded fast: few of them analysed, and threads that do not wait for each other.

A small network takes hundreds of short steps. If torch shares each step among threads, these wait
for each other after every one; where another program has one of two cores, that takes two to ten
times as long as a single thread. So small networks get one, and where frames are analysed one by
one, each of several threads takes frames of its own.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import ceil

import torch
from torch import Tensor, nn

from avsync.scoring.embeddings import (
    AnalysingModel,
    Embeddings,
    concatenate_embeddings,
    device_and_dtype,
    tree_map,
)
from avsync.timing import FPS

# Networks of at most this many parameters are small. dense_sync and face_sync have about a million,
# the published models over ten.
SMALL_NETWORK = 5_000_000
# Frames that are worth a thread.
FRAMES_PER_THREAD = 8
# The first 10 s of a face are analysed frame by frame: where there is little speech, each counts.
ALL_ANALYSED_TICKS = 10 * FPS


@contextmanager
def suitable_threads(model: object) -> Iterator[int]:
    """Limit torch to one thread while a small model runs on the CPU; give the number it had."""
    threads = torch.get_num_threads()
    parameters = model.parameters() if isinstance(model, nn.Module) else ()
    small = sum(parameter.numel() for parameter in parameters) <= SMALL_NETWORK
    if not small or device_and_dtype(model).device.type != "cpu":
        yield threads
        return
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


def frames_to_analyse(
    first: int, count: int, stride: int, begins: bool, ends: bool, seen: int = 0
) -> Tensor:
    """Choose frames by their tick: the choice does not depend on where blocks end.

    Args:
        first: tick of the first frame.
        count: number of frames, in consecutive ticks.
        stride: ticks from one to the next, after the first 10 s of a face.
        begins: whether the first frame is the first of its run, which is always chosen.
        ends: whether the last frame is the last of its run, likewise.
        seen: tick at which the face was first seen.

    Returns:
        `(count,)` bool.
    """
    ticks = first + torch.arange(count)
    chosen = (ticks % stride == 0) | (ticks < seen + ALL_ANALYSED_TICKS)
    chosen[:1] |= begins
    chosen[-1:] |= ends
    return chosen


def analyse(model: AnalysingModel, frames: Tensor, chosen: Tensor, threads: int) -> Embeddings:
    """Analyse the chosen of frames `(1, 3, T, H, W)`; return the analysis with T as first axis.

    On the CPU several threads take a part of the frames each, inside `suitable_threads`.
    """
    parts = min(threads, ceil(int(chosen.sum()) / FRAMES_PER_THREAD))
    if parts <= 1 or frames.device.type != "cpu":
        return _analyse_part(model, frames, chosen)
    size = ceil(len(chosen) / parts)
    with ThreadPoolExecutor(parts) as pool:
        pairs = frames.split(size, 2), chosen.split(size)
        found = list(pool.map(_analyse_part, [model] * len(pairs[0]), *pairs))
    return concatenate_embeddings(*found)


# Of each thread, which does not share the mode of the one that started it.
@torch.inference_mode()
def _analyse_part(model: AnalysingModel, frames: Tensor, chosen: Tensor) -> Embeddings:
    return tree_map(lambda tensor: tensor[0], model.analyse_frames(frames, chosen))
