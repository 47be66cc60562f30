"""Compare all separators: train each on the same mixtures and measure it on the same test sets.

    python benchmarks/separation/model_comparison.py --seen stores/s1 --splits FILE \
        --unseen stores/others --rendered stores/rendered --more STORE --mir1k FOLDER \
        --music FOLDER --work FOLDER [--vocalist WEIGHTS] [--lip-expert WEIGHTS] \
        [--dense-sync-from-scratch WEIGHTS] [--dense-sync-untrained WEIGHTS] \
        [--landmarks FOLDER] [--systems NAME...]

A run is one system with one seed. It is trained, measured on every set of
`model_comparison_sets.py` and written to
`results/separation/model_comparison/SYSTEM_SIZE_STEPS_SEED.json`. A stopped run resumes; a recorded
run is skipped. `model_comparison_tables.py` makes tables of the records.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avsync import weights as checkpoints
from avsync.audio.resampling import resample
from avsync.data.cache.audio import AudioCache
from avsync.data.cache.features import FeatureCache
from avsync.data.sampling.mixtures import MixtureRow, Mixtures
from avsync.metrics.separation import SeparationScores, score_sources
from avsync.tasks.registry import create_model
from avsync.tasks.separation.input_spec import SAMPLE_RATE, SeparationSpec, chunk_lengths
from avsync.tasks.separation.lip_mask import LipMask
from avsync.tasks.separation.unet import UNet
from avsync.training.data.mixtures import MixtureData, collated, frozen_tokens
from avsync.training.engine.batches import as_floats
from avsync.training.steps.separator_config import SeparationModel, describe_visual_encoder
from benchmarks.record import machine, record_path, write_record
from benchmarks.separation.model_comparison_sets import SETS, TestData, rows_of
from benchmarks.separation.model_comparison_systems import (
    SECONDS,
    SYSTEMS,
    Job,
    System,
    missing_input,
    train,
)
from benchmarks.short_run import short_run

FOLDER = "separation/model_comparison"
# Mixtures of a batch, and number of timed runs, of which the fastest counts.
BATCH, TIMED = 10, 3
VALIDATED = 10
Model = SeparationModel | LipMask


def main() -> None:
    options = parsed()
    print(machine())
    for seed in options.seeds:
        for name in options.systems:
            one_run(name, seed, options)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--seen", type=Path, required=True, help="store s1; its test split is not trained on")
    add("--splits", type=Path, required=True, help="splits of that store")
    add("--unseen", type=Path, required=True, help="store others: other speakers, test only")
    add("--rendered", type=Path, required=True, help="store rendered, test only")
    add("--more", type=Path, nargs="*", default=[], help="other stores to train on")
    add(
        *("--corpus-offset-ms", "--zero-ms"),
        type=float,
        nargs=3,
        default=(20.0, 20.0, 0.0),
        help="of the three stores",
    )
    add(
        *("--more-corpus-offset-ms", "--more-zero-ms"),
        type=float,
        nargs="*",
        default=[],
        help="of the other stores",
    )
    add("--mir1k", type=Path, required=True, help="accompaniment and singers, split by singer")
    add("--music", type=Path, required=True, help="more accompaniment, split by file")
    add("--landmarks", type=Path, help="folder of ID.npz, for ynet-gr")
    add("--vocalist", type=Path, help="visual encoder weights of ynet-mr-v-frozen")
    add("--lip-expert", type=Path, help="visual encoder weights of ynet-mr-s-frozen")
    add(
        *("--dense-sync-from-scratch", "--dense-sync-anew"),
        type=Path,
        help="visual encoder weights of ynet-dense-anew-frozen",
    )
    add(
        "--dense-sync-untrained",
        type=Path,
        help="visual encoder weights of ynet-dense-untrained-frozen",
    )
    add("--window-frames", type=int, default=0, help="window of the frozen VocaLiST, 0 for all")
    add("--work", type=Path, required=True, help="folder of training runs and caches")
    add("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--steps", type=int, default=600)
    add("--batch", type=int, default=4, help="mixtures per step; half as many pairs of faces")
    add("--lr", type=float, default=1.5e-3, help="learning rate of AdamW")
    add("--mixtures", type=int, default=24, help="mixtures of each set")
    add("--full-size", action="store_true", help="published widths, for a GPU")
    add("--precision", default="32-true", choices=("32-true", "bf16-mixed"))
    return parser.parse_args()


def one_run(name: str, seed: int, options: argparse.Namespace) -> None:
    """Train and measure one system, unless it is recorded or an input is missing."""
    size = "full" if options.full_size else "reduced"
    run, system = f"{name}_{size}_{options.steps}_{seed}", SYSTEMS[name]
    record = f"{FOLDER}/{run}"
    if record_path(record).is_file():
        return
    visual = getattr(options, system.visual_option) if system.visual_option else None
    reason = missing_input(system, visual, options.landmarks)
    if reason is not None:
        print(f"{name} is left out: {reason}")
        return
    released = system.kind is None
    started_s = time.monotonic()
    weights = None
    if not released:
        weights = train(system, job_of(seed, options.work / run, visual, options))
    trained_s = round(time.monotonic() - started_s)
    model = create_model(system.model, pretrained=released, weights=weights)
    if torch.cuda.is_available():
        model = model.cuda()
    figures = {
        "system": name,
        "size": size,
        "seed": seed,
        "steps": 0 if released else options.steps,
        "batch": 0 if released else options.batch,
        "train_seconds": trained_s,
        "parameters": sum(p.numel() for p in model.parameters()),
        "trainable": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "seconds_per_s": seconds_per_s(model),
        "tests": measure(system, model, weights, options),
    }
    sdr_gains = {title: test["sdr_gain"] for title, test in figures["tests"].items()}
    print(name, seed, "SDR gain:", sdr_gains, flush=True)
    write_record(record, figures, script=FOLDER)


def job_of(seed: int, work: Path, visual: Path | None, options: argparse.Namespace) -> Job:
    """Return the settings of a run, equal for all systems."""
    stores = (options.seen, *options.more)
    offset_ms = (
        options.corpus_offset_ms[0],
        *(options.more_corpus_offset_ms or [0.0] * len(options.more)),
    )
    clips = MixtureData(
        stores,
        options.splits,
        offset_ms,
        options.landmarks,
        (options.music,),
        options.mir1k,
        cache=options.work / "cache",
        batch=options.batch,
        validate_mixtures=VALIDATED,
    )
    halfway = max(1, options.steps // 2)
    loop = short_run(
        work,
        options.steps,
        options.lr,
        seed,
        weight_decay=0.01,
        validate_every=halfway,
        precision=options.precision,
    )
    return Job(clips, loop, options.full_size, visual, options.window_frames)


def measure(
    system: System, model: Model, weights: Path | None, options: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Return for each set the mean figures in dB and the number of mixtures."""
    samples, frames = chunk_lengths(SECONDS)
    spec = replace(model.spec, samples=samples, frames=frames, sample_rate=SAMPLE_RATE)
    data = TestData(
        options.seen,
        options.unseen,
        options.rendered,
        options.splits,
        tuple(options.corpus_offset_ms),
        options.mir1k,
        options.music,
        options.landmarks,
    )
    cache = options.work / "cache"
    audio = AudioCache(cache / "sounds", SAMPLE_RATE)
    found = {}
    for test_set in SETS:
        rows = rows_of(test_set, data, spec, audio, options.mixtures)
        mixtures = data.mixtures(spec, audio)
        features = None
        if getattr(model, "frozen", isinstance(model, LipMask)):
            config = {} if weights is None else checkpoints.load(weights).config
            about = describe_visual_encoder(system.model, config)
            clips, folder = mixtures.crop_files(rows), cache / "features"
            features = frozen_tokens(model.visual, about, spec, clips, folder)
        starts = range(0, len(rows), BATCH)
        batches = [scores(model, mixtures, rows[k : k + BATCH], features) for k in starts]
        merged = SeparationScores(*(torch.cat(parts) for parts in zip(*batches, strict=True)))
        found[test_set.title] = {
            # The published SIR is not defined for voices without accompaniment.
            **{name: round(mean, 3) for name, mean in merged.means().items() if mean == mean},
            "mixtures": len(rows),
            "silent": merged.silent(),
        }
    return found


@torch.no_grad()
def scores(
    model: Model, mixtures: Mixtures, rows: list[MixtureRow], features: FeatureCache | None
) -> SeparationScores:
    """Separate a batch of mixtures and score it; BSS Eval v3 is over the whole chunk."""
    drawn = [mixtures.make(row) for row in rows]
    device = next(model.parameters()).device
    batch = as_floats(collated(mixtures, drawn, features))
    *visual, second, accompaniment, target = batch
    mixture = target + accompaniment + second
    tokens = [tensor.to(device) for tensor in visual]
    if features is None and not isinstance(model, UNet):
        tokens = [model.encode_video(frames) for frames in tokens]
    voices = separated(model, mixture.to(device), tokens).cpu()
    return score_sources(voices, target, accompaniment, second, mixture)


def separated(model: Model, mixture: Tensor, tokens: list[Tensor]) -> Tensor:
    """Separate mixtures `(B, N)` at 16384 Hz into voices `(B, N)`, at any rate of the model."""
    rate, count = model.spec.sample_rate, mixture.shape[1]
    resampled = resample(mixture, SAMPLE_RATE, rate) if rate != SAMPLE_RATE else mixture
    voices: Tensor = model.separate(resampled, *tokens)
    return resample(voices, rate, SAMPLE_RATE)[:, :count] if rate != SAMPLE_RATE else voices


@torch.no_grad()
def seconds_per_s(model: Model) -> float:
    """Measure CPU seconds per second of audio and video."""
    spec: SeparationSpec = model.spec
    device = next(model.parameters()).device
    samples, frames = chunk_lengths(SECONDS)
    mixture = 0.1 * torch.randn(1, samples, device=device)
    visual = []
    if spec.landmarks:
        visual = [96 * torch.rand(1, 2, frames, 68, device=device)]
    elif spec.uses_video:
        visual = [torch.rand(1, 3, frames, spec.height, spec.width, device=device)]
    cpu_s = []
    for _ in range(TIMED):
        started_s = time.process_time()
        tokens = [] if isinstance(model, UNet) else [model.encode_video(x) for x in visual]
        separated(model, mixture, tokens).cpu()
        cpu_s.append(time.process_time() - started_s)
    return round(min(cpu_s) / SECONDS, 4)


if __name__ == "__main__":
    main()
