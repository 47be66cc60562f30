"""Compare the speed of the scoring engine with the loop of the public evaluation code.

    python benchmarks/sync/scoring_speed.py [--rows N]

Scores a 3 s clip (75 frames, 70 windows of 5) with each published model and random weights. The
public loop runs one forward pass of 31 pairs per video window; the engine encodes every window
once. Both run in this process on the same numbers. bfloat16 is timed if the CPU or GPU supports it.
Otherwise its rounding is emulated in float32: that measures how often the best offset stays the
same, but not the speed.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from avsync.encoders.conv_block import fold_batch_norms
from avsync.evaluation.score_matrix import clip_band
from avsync.metrics.sync_accuracy import MAX_SHIFT, candidate_windows
from avsync.tasks.registry import create_model
from avsync.timing import SAMPLES_PER_FRAME
from benchmarks.record import machine, write_record

MODELS = ("vocalist", "mtdvocalist", "lip_expert", "syncnet")
FRAMES = 75


class Clip(NamedTuple):
    """Crops `(T, H, W, 3)` uint8 and audio `(N,)`."""

    crops: np.ndarray
    wav: np.ndarray


def make_clip(model: nn.Module, frames: int = FRAMES) -> Clip:
    """Make a clip of smooth random frames and modulated noise; timings do not depend on content."""
    rng = np.random.default_rng(0)
    height, width = model.spec.height, model.spec.width
    coarse = torch.from_numpy(rng.random((1, 3, frames // 3, 6, 12), np.float32))
    fine = nn.functional.interpolate(coarse, (frames, height, width), mode="trilinear")
    crops = (255 * fine[0]).byte().permute(1, 2, 3, 0).contiguous().numpy()
    loud = np.interp(np.arange(frames * SAMPLES_PER_FRAME) / 1600, np.arange(32), rng.random(32))
    return Clip(crops, (0.3 * loud * rng.standard_normal(len(loud))).astype(np.float32))


@torch.no_grad()
def randomise(model: nn.Module) -> None:
    """Draw random weights that keep the scale of activations.

    With the usual initialisation deep features hardly vary, and rounding would choose the best
    offset.
    """
    for name, tensor in model.state_dict().items():
        if tensor.ndim >= 2:
            # VocaLiST's transformers multiply tokens by the root of their width.
            last = {"visual.blocks.16.conv.weight": 0.3, "audio.blocks.13.conv.weight": 0.05}
            reach = last.get(name, 1.0) * (3 * len(tensor) / tensor.numel()) ** 0.5
            tensor.uniform_(-reach, reach)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith(("bias", "running_mean")):
            tensor.uniform_(-0.1, 0.1)
        elif name.endswith("weight"):
            tensor.uniform_(0.8, 1.2)


@torch.inference_mode()
def loop_rows(model: nn.Module, clip: Clip, rows: range) -> Tensor:
    """Score rows as the public evaluation does: one forward of 31 pairs per row `(31,)`."""
    window = model.spec.window_frames
    count = len(clip.crops) - window
    device, dtype = next(model.parameters()).device, next(model.parameters()).dtype
    frames = torch.from_numpy(clip.crops).permute(3, 0, 1, 2).to(device, dtype) / 255
    features = model.window_features(torch.from_numpy(clip.wav)[None].to(device), count)[0]
    features = features.to(dtype)
    silent = torch.zeros_like(features[0])
    scores = []
    for i in rows:
        candidates = range(i - MAX_SHIFT, i + MAX_SHIFT + 1)
        mel = torch.stack([features[j] if 0 <= j < count else silent for j in candidates])
        video = frames[None, :, i : i + window].expand(len(mel), -1, -1, -1, -1).contiguous()
        scores.append(model(video, mel).float().cpu())
    return torch.stack(scores)


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """Call a function and return its result and its wall seconds."""
    started = time.perf_counter()
    result = run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return result, time.perf_counter() - started


class EmulatedAutocast(TorchDispatchMode):
    """Emulate `torch.autocast` with bfloat16 in float32.

    Operands and results of matrix products and convolutions are rounded. Functions wrapped by
    `full_precision` are not rounded, like those that turn autocast off.
    """

    products = frozenset(
        f"aten::{name}"
        for name in ("conv1d", "conv2d", "conv3d", "linear", "matmul", "bmm", "addmm", "baddbmm")
    )

    def __init__(self) -> None:
        super().__init__()
        self.active = True

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        if not self.active or function._schema.name not in self.products:
            return function(*arguments, **(options or {}))
        return tree_map(rounded, function(*tree_map(rounded, arguments), **(options or {})))

    def full_precision(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a function so that nothing inside it is rounded."""

        def call(*arguments: Any) -> Any:
            self.active = False
            try:
                return function(*arguments)
            finally:
                self.active = True

        return call


def rounded(value: Any) -> Any:
    """Round a float32 tensor to bfloat16 precision; return anything else unchanged."""
    if isinstance(value, Tensor) and value.dtype == torch.float32:
        return value.bfloat16().float()
    return value


def agreement(scores: Tensor, reference: Tensor) -> float:
    """Return the share of rows whose best offset is equal, among candidates inside the clip."""
    index = candidate_windows(len(scores))
    outside = (index < 0) | (index >= len(scores))
    best = [band.masked_fill(outside, -torch.inf).argmax(1) for band in (scores, reference)]
    return float((best[0] == best[1]).float().mean())


def supports_bfloat16(device: str) -> bool:
    """Whether the device computes in bfloat16 natively."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def measure(name: str, device: str, rows: int | None, repeats: int) -> dict[str, Any]:
    """Time loop and engine of one model in float32, and the engine in bfloat16.

    Args:
        name: name of the model.
        device: `cpu` or `cuda`.
        rows: time about this many rows of the loop and extrapolate; None for all.
        repeats: number of engine runs, of which the fastest counts.
    """
    torch.manual_seed(0)
    model = create_model(name).eval()
    clip = make_clip(model)
    randomise(model)
    model.to(device)
    count = FRAMES - model.spec.window_frames
    chosen = range(0, count, max(1, count // rows)) if rows else range(count)
    loop_rows(model, clip, range(1))
    loop, loop_s = timed(lambda: loop_rows(model, clip, chosen))
    loop_s *= count / len(chosen)
    folded = create_model(name).eval()
    folded.load_state_dict(model.state_dict())
    fold_batch_norms(folded)
    folded.to(device)
    band, engine_s = best_of(repeats, lambda: clip_band(folded, *clip).band)
    difference = float((band[list(chosen)] - loop).abs().max())
    figures = {
        "windows": count,
        "loop_rows_timed": len(chosen),
        "loop_s": loop_s,
        "engine_s": engine_s,
        "ratio_fp32": loop_s / engine_s,
        "largest_difference": difference,
        "ratio_bf16": None,
    }
    if supports_bfloat16(device):
        with torch.autocast(device, torch.bfloat16):
            scores, bf16_s = best_of(repeats, lambda: clip_band(folded, *clip).band)
        figures |= {"engine_bf16_s": bf16_s, "ratio_bf16": loop_s / bf16_s}
    else:
        with EmulatedAutocast() as mode:
            folded.front_end.forward = mode.full_precision(folded.front_end.forward)
            if hasattr(folded, "head"):
                folded.head = mode.full_precision(folded.head)
            scores = clip_band(folded, *clip).band
        figures["bf16_imitated"] = True
    figures["argmax_agreement"] = agreement(scores, band)
    return figures


def best_of(repeats: int, run: Callable[[], Any]) -> tuple[Any, float]:
    """Call a function once to warm up, then `repeats` times; return a result and the least time."""
    results = [timed(run) for _ in range(repeats + 1)][1:]
    return results[0][0], min(seconds for _, seconds in results)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", type=int, help="time only about N rows of the loop")
    parser.add_argument(
        "--repeats", type=int, default=3, help="runs of the engine; the fastest counts"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(machine(), f"{arguments.threads} threads, {arguments.device}")
    results = {}
    for name in arguments.models:
        row = measure(name, arguments.device, arguments.rows, arguments.repeats)
        results[name] = row
        bf16 = "not supported" if row["ratio_bf16"] is None else f"{row['ratio_bf16']:.1f}x"
        print(
            f"{name:<12} loop {row['loop_s']:7.1f} s  engine {row['engine_s']:6.2f} s  "
            f"fp32 {row['ratio_fp32']:5.1f}x  largest difference {row['largest_difference']:.1e}  "
            f"bf16 {bf16}, same argmax in {100 * row['argmax_agreement']:.1f} % of rows",
            flush=True,
        )
    figures = {"threads": arguments.threads, "device": arguments.device, "models": results}
    print("written to", write_record("sync/scoring_speed", figures).name)


if __name__ == "__main__":
    main()
