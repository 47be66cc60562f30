"""The engine against the public evaluation's loop: `python benchmarks/scoring_speed.py`.

For a 3 s clip (75 frames, 70 windows of 5), each published model with fresh weights: the plain loop
(one forward of 31 pairs per video window, as the public evaluation does) against the engine (every
window encoded once), both in this process and on the same numbers. The bfloat16 row runs where the
processor or a GPU knows the type; elsewhere its rounding is imitated in float32, which
tells how often the best offset stays but nothing about speed.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from record import machine, write_record
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from avsync.encoders.conv_block import fold_batch_norms
from avsync.evaluation.score_matrix import clip_band
from avsync.metrics.sync_accuracy import MAX_SHIFT, candidate_windows
from avsync.tasks.registry import create_model
from avsync.timing import SAMPLES_PER_FRAME

MODELS = ("vocalist", "mtdvocalist", "lip_expert", "syncnet")
FRAMES = 75


class Clip(NamedTuple):
    """Crops `(T, H, W, 3)` uint8 and sound `(N,)`."""

    crops: np.ndarray
    wav: np.ndarray


def make_clip(model: nn.Module, frames: int = FRAMES) -> Clip:
    """Smooth moving pictures and coloured noise: what is scored matters to no timing."""
    rng = np.random.default_rng(0)
    height, width = model.spec.height, model.spec.width
    coarse = torch.from_numpy(rng.random((1, 3, frames // 3, 6, 12), np.float32))
    fine = nn.functional.interpolate(coarse, (frames, height, width), mode="trilinear")
    crops = (255 * fine[0]).byte().permute(1, 2, 3, 0).contiguous().numpy()
    loud = np.interp(np.arange(frames * SAMPLES_PER_FRAME) / 1600, np.arange(32), rng.random(32))
    return Clip(crops, (0.3 * loud * rng.standard_normal(len(loud))).astype(np.float32))


@torch.no_grad()
def enliven(model: nn.Module) -> None:
    """Fresh weights that keep the scale of what passes through them: with the usual ones deep
    features hardly vary, and which offset is best would be a matter of rounding.
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
    """The public evaluation: each row `(31,)` by one forward of 31 pairs, its video repeated."""
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
    started = time.perf_counter()
    result = run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return result, time.perf_counter() - started


class ImitatedAutocast(TorchDispatchMode):
    """What `torch.autocast` does with bfloat16, in float32: operands and results of products are
    rounded, all else is left whole. Calls wrapped by `whole` are left alone, as those are that turn
    autocast off.
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

    def whole(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self.active = False
            try:
                return function(*arguments)
            finally:
                self.active = True

        return call


def rounded(value: Any) -> Any:
    if isinstance(value, Tensor) and value.dtype == torch.float32:
        return value.bfloat16().float()
    return value


def agreement(scores: Tensor, reference: Tensor) -> float:
    """Share of rows whose best offset is the same, among the candidates inside the clip."""
    index = candidate_windows(len(scores))
    outside = (index < 0) | (index >= len(scores))
    best = [each.masked_fill(outside, -torch.inf).argmax(1) for each in (scores, reference)]
    return float((best[0] == best[1]).float().mean())


def knows_bfloat16(device: str) -> bool:
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def measure(name: str, device: str, rows: int | None, repeats: int) -> dict[str, Any]:
    """Both sides of one model in float32, and the engine in bfloat16."""
    torch.manual_seed(0)
    plain = create_model(name).eval()
    clip = make_clip(plain)
    enliven(plain)
    plain.to(device)
    count = FRAMES - plain.spec.window_frames
    chosen = range(0, count, max(1, count // rows)) if rows else range(count)
    loop_rows(plain, clip, range(1))
    loop, loop_s = timed(lambda: loop_rows(plain, clip, chosen))
    loop_s *= count / len(chosen)
    quick = create_model(name).eval()
    quick.load_state_dict(plain.state_dict())
    fold_batch_norms(quick)
    quick.to(device)
    band, engine_s = best_of(repeats, lambda: clip_band(quick, *clip).band)
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
    if knows_bfloat16(device):
        with torch.autocast(device, torch.bfloat16):
            scores, half_s = best_of(repeats, lambda: clip_band(quick, *clip).band)
        figures |= {"engine_bf16_s": half_s, "ratio_bf16": loop_s / half_s}
    else:
        with ImitatedAutocast() as mode:
            quick.front_end.forward = mode.whole(quick.front_end.forward)
            if hasattr(quick, "head"):
                quick.head = mode.whole(quick.head)
            scores = clip_band(quick, *clip).band
        figures["bf16_imitated"] = True
    figures["argmax_agreement"] = agreement(scores, band)
    return figures


def best_of(repeats: int, run: Callable[[], Any]) -> tuple[Any, float]:
    results = [timed(run) for _ in range(repeats + 1)][1:]
    return results[0][0], min(seconds for _, seconds in results)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", type=int, help="time only about so many rows of the loop")
    parser.add_argument(
        "--repeats", type=int, default=3, help="runs of the engine; the best counts"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(machine(), f"{arguments.threads} threads, {arguments.device}")
    results = {}
    for name in arguments.models:
        row = measure(name, arguments.device, arguments.rows, arguments.repeats)
        results[name] = row
        half = "not on this machine" if row["ratio_bf16"] is None else f"{row['ratio_bf16']:.1f}x"
        print(
            f"{name:<12} loop {row['loop_s']:7.1f} s  engine {row['engine_s']:6.2f} s  "
            f"fp32 {row['ratio_fp32']:5.1f}x  largest difference {row['largest_difference']:.1e}  "
            f"bf16 {half}, same argmax in {100 * row['argmax_agreement']:.1f} % of rows",
            flush=True,
        )
    figures = {"threads": arguments.threads, "device": arguments.device, "models": results}
    print("written to", write_record("scoring_speed", figures).name)


if __name__ == "__main__":
    main()
