"""Every separator, trained on the same mixtures and measured on the same others.

    python benchmarks/separation.py --seen stores/s1 --splits FILE --unseen stores/others \
        --rendered stores/rendered --more STORE --mir1k FOLDER --music FOLDER --work FOLDER \
        [--vocalist WEIGHTS] [--lip-expert WEIGHTS] [--dense-sync-anew WEIGHTS] \
        [--dense-sync-untrained WEIGHTS] [--landmarks FOLDER] [--systems NAME...]

Each run, a system with a seed, is trained, measured on every set of `separation_sets.py` and
written to `results/separation/SYSTEM_SIZE_STEPS_SEED.json`; one that was stopped goes on, one
that is there is left alone. `separation_table.py` makes the tables of what is there.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from record import RESULTS, machine, write_record
from separation_sets import SETS, TestData, rows_of
from separation_systems import SECONDS, SYSTEMS, Job, System, lacking, train
from short_run import short_run
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

FOLDER = "separation"
# Mixtures that are separated together, and runs of which the fastest counts.
TOGETHER, TIMED = 10, 3
VALIDATED = 10
Model = SeparationModel | LipMask


def main() -> None:
    options = parsed()
    print(machine())
    for seed in options.seeds:
        for name in options.systems:
            one_run(name, seed, options)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--seen", type=Path, required=True, help="store s1: trained on but for its split test")
    add("--splits", type=Path, required=True, help="of that store")
    add("--unseen", type=Path, required=True, help="store others: other speakers, all for testing")
    add("--rendered", type=Path, required=True, help="store rendered: all for testing")
    add("--more", type=Path, nargs="*", default=[], help="other stores to train on")
    add(
        "--corpus-offset-ms",
        "--zero-ms",
        type=float,
        nargs=3,
        default=(20.0, 20.0, 0.0),
        help="of the three",
    )
    add(
        "--more-corpus-offset-ms",
        "--more-zero-ms",
        type=float,
        nargs="*",
        default=[],
        help="of the other stores",
    )
    add("--mir1k", type=Path, required=True, help="accompaniment and singers, split by singer")
    add("--music", type=Path, required=True, help="more accompaniment, split by file")
    add("--landmarks", type=Path, help="folder of ID.npz, for ynet-gr")
    add("--vocalist", type=Path, help="weights whose eyes ynet-mr-v-frozen has")
    add("--lip-expert", type=Path, help="weights whose eyes ynet-mr-s-frozen has")
    add("--dense-sync-anew", type=Path, help="weights whose eyes ynet-dense-anew-frozen has")
    add("--dense-sync-untrained", type=Path, help="those of ynet-dense-untrained-frozen")
    add("--window-frames", type=int, default=0, help="frozen VocaLiST sees so many at once, 0 all")
    add("--work", type=Path, required=True, help="folder of training runs and of what is cached")
    add("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--steps", type=int, default=600)
    add("--batch", type=int, default=4, help="mixtures per step; pairs of faces: half of it")
    add("--lr", type=float, default=1.5e-3, help="of AdamW")
    add("--mixtures", type=int, default=24, help="of each set")
    add("--full-size", action="store_true", help="published sizes, for a GPU")
    add("--precision", default="32-true", choices=("32-true", "bf16-mixed"))
    return parser.parse_args()


def one_run(name: str, seed: int, options: argparse.Namespace) -> None:
    """Trains and measures one system, unless its figures are there or it lacks something."""
    size = "full" if options.full_size else "reduced"
    run, system = f"{name}_{size}_{options.steps}_{seed}", SYSTEMS[name]
    record = f"{FOLDER}/{run}"
    if (RESULTS / f"{record}.json").is_file():
        return
    eyes = getattr(options, system.eyes) if system.eyes else None
    reason = lacking(system, eyes, options.landmarks)
    if reason is not None:
        print(f"{name} is left out: {reason}")
        return
    shipped = system.kind is None
    started_s = time.monotonic()
    weights = None
    if not shipped:
        weights = train(system, job_of(seed, options.work / run, eyes, options))
    trained_s = round(time.monotonic() - started_s)
    model = create_model(system.model, pretrained=shipped, weights=weights)
    if torch.cuda.is_available():
        model = model.cuda()
    figures = {
        "system": name,
        "size": size,
        "seed": seed,
        "steps": 0 if shipped else options.steps,
        "batch": 0 if shipped else options.batch,
        "train_seconds": trained_s,
        "parameters": sum(each.numel() for each in model.parameters()),
        "trainable": sum(each.numel() for each in model.parameters() if each.requires_grad),
        "seconds_per_s": seconds_per_s(model),
        "tests": measured(system, model, weights, options),
    }
    sdr = {title: each["sdr_gain"] for title, each in figures["tests"].items()}
    print(name, seed, "SDR gained:", sdr, flush=True)
    write_record(record, figures, script=FOLDER)


def job_of(seed: int, work: Path, eyes: Path | None, options: argparse.Namespace) -> Job:
    """The settings of a run, the same for all systems."""
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
    return Job(clips, loop, options.full_size, eyes, options.window_frames)


def measured(
    system: System, model: Model, weights: Path | None, options: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Mean figures of each set in dB, and of how many mixtures they are."""
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
    sounds = AudioCache(cache / "sounds", SAMPLE_RATE)
    found = {}
    for plan in SETS:
        rows = rows_of(plan, data, spec, sounds, options.mixtures)
        mixtures = data.company(spec, sounds)
        features = None
        if getattr(model, "frozen", isinstance(model, LipMask)):
            config = {} if weights is None else checkpoints.load(weights).config
            about = describe_visual_encoder(system.model, config)
            clips, folder = mixtures.crop_files(rows), cache / "features"
            features = frozen_tokens(model.visual, about, spec, clips, folder)
        steps = range(0, len(rows), TOGETHER)
        parts = [scores(model, mixtures, rows[k : k + TOGETHER], features) for k in steps]
        whole = SeparationScores(*(torch.cat(each) for each in zip(*parts, strict=True)))
        found[plan.title] = {
            # Of voices without accompaniment there is no SIR of the published kind.
            **{name: round(mean, 3) for name, mean in whole.means().items() if mean == mean},
            "mixtures": len(rows),
            "silent": whole.silent(),
        }
    return found


@torch.no_grad()
def scores(
    model: Model, mixtures: Mixtures, rows: list[MixtureRow], features: FeatureCache | None
) -> SeparationScores:
    """Figures of these mixtures, separated together; BSS Eval v3 over the whole chunk."""
    drawn = [mixtures.make(row) for row in rows]
    device = next(model.parameters()).device
    batch = as_floats(collated(mixtures, drawn, features))
    *seen, second, accompaniment, target = batch
    mixture = target + accompaniment + second
    tokens = [each.to(device) for each in seen]
    if features is None and not isinstance(model, UNet):
        tokens = [model.encode_video(each) for each in tokens]
    voices = separated(model, mixture.to(device), tokens).cpu()
    return score_sources(voices, target, accompaniment, second, mixture)


def separated(model: Model, mixture: Tensor, tokens: list[Tensor]) -> Tensor:
    """The voices `(B, N)` of mixtures `(B, N)` at 16384 Hz, whatever the rate of the model."""
    rate, count = model.spec.sample_rate, mixture.shape[1]
    heard = resample(mixture, SAMPLE_RATE, rate) if rate != SAMPLE_RATE else mixture
    voices: Tensor = model.separate(heard, *tokens)
    return resample(voices, rate, SAMPLE_RATE)[:, :count] if rate != SAMPLE_RATE else voices


@torch.no_grad()
def seconds_per_s(model: Model) -> float:
    """Seconds of one process, for a second of sound and of the face."""
    spec: SeparationSpec = model.spec
    device = next(model.parameters()).device
    samples, frames = chunk_lengths(SECONDS)
    mixture = 0.1 * torch.randn(1, samples, device=device)
    seen = []
    if spec.landmarks:
        seen = [96 * torch.rand(1, 2, frames, 68, device=device)]
    elif spec.uses_video:
        seen = [torch.rand(1, 3, frames, spec.height, spec.width, device=device)]
    taken = []
    for _ in range(TIMED):
        begun = time.process_time()
        tokens = [] if isinstance(model, UNet) else [model.encode_video(each) for each in seen]
        separated(model, mixture, tokens).cpu()
        taken.append(time.process_time() - begun)
    return round(min(taken) / SECONDS, 4)


if __name__ == "__main__":
    main()
