"""Measure the alignment of AV-SyncNet's video and audio tokens: PRI and offset accuracy.

    python benchmarks/sync/encoder_alignment.py --data STORE --splits FILE --corpus-offset-ms MS \
        --weights FILE [FILE ...] [--reader FILE [FILE ...]]

PRI is the primacy index (SyncTalklip, supplement 6.1). `--reader` names for each of the weights the
lip reader they were aligned from; the tokens of its encoder are measured as those before alignment.
"""

import argparse
from pathlib import Path
from typing import cast

import numpy as np
import torch

from avsync import weights as checkpoints
from avsync.data.sampling.crops import crops_for
from avsync.data.store.reader import PreparedClip, Store
from avsync.data.store.splits import clips_of_split
from avsync.evaluation.score_matrix import clip_band
from avsync.metrics.sync_accuracy import MAX_SHIFT, best_offsets
from avsync.metrics.sync_embeddings import chance_primacy_index, primacy_index
from avsync.tasks.registry import create_model
from avsync.tasks.sync.av_syncnet import AvSyncNet
from benchmarks.record import write_record


def before_alignment(reader: Path, aligned: AvSyncNet) -> AvSyncNet:
    """Return an AV-SyncNet with a lip reader's encoder and an identity audio projection."""
    config = {"reader": checkpoints.load(reader).config, "window": aligned.window}
    model = cast(AvSyncNet, create_model("av_syncnet", config=config)).eval()
    model.reader.load_state_dict(create_model("lip_reader", weights=reader).state_dict())
    torch.nn.init.eye_(model.audio_proj.weight)
    torch.nn.init.zeros_(model.audio_proj.bias)
    return model


@torch.inference_mode()
def measure(model: AvSyncNet, clips: list[PreparedClip], offset_ms: float) -> dict[str, float]:
    """Compute the mean PRI of the clips and the share of clips with the right offset.

    The offset of a clip is the best one by the mean score of all windows; it is right within one
    frame of `offset_ms`. Both figures come with their value by chance.
    """
    indices, chances, right = [], [], []
    for clip in clips:
        crops, wav = crops_for(model.spec, clip), np.asarray(clip.wav_16k)
        scored = clip_band(model, crops, wav, offset_ms, empty_windows=False)
        assert scored.video is not None and scored.audio is not None
        indices.append(primacy_index(scored.video, scored.audio))
        chances.append(chance_primacy_index(len(scored.video)))
        offset = int(best_offsets(scored.band.nanmean(0, keepdim=True)))
        right.append(abs(offset) <= 1)
    return {
        "pri": round(float(np.mean(indices)), 4),
        "pri_of_chance": round(float(np.mean(chances)), 4),
        "clips_within_a_frame": round(float(np.mean(right)), 4),
        "clips_by_chance": round(3 / (2 * MAX_SHIFT + 1), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--splits", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--clips", type=int, default=0, help="number of clips, 0 for all")
    parser.add_argument(
        "--corpus-offset-ms", "--zero-ms", type=float, default=0.0, help="offset of all clips"
    )
    parser.add_argument("--weights", type=Path, nargs="+", required=True)
    parser.add_argument("--reader", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    if options.reader and len(options.reader) != len(options.weights):
        parser.error(f"--reader must name {len(options.weights)} files, got {len(options.reader)}")
    store = Store(options.data)
    indices = clips_of_split(store, options.splits, options.split)[: options.clips or None]
    clips = [store[index] for index in indices]
    runs = []
    for number, path in enumerate(options.weights):
        model = cast(AvSyncNet, create_model("av_syncnet", weights=path))
        run = {
            "weights": path.parent.name,
            "after": measure(model, clips, options.corpus_offset_ms),
        }
        if options.reader:
            before = before_alignment(options.reader[number], model)
            run["before"] = measure(before, clips, options.corpus_offset_ms)
        runs.append(run)
        print(run, flush=True)
    after = [run["after"] for run in runs]
    names = ("pri", "clips_within_a_frame")
    mean = {name: round(float(np.mean([run[name] for run in after])), 4) for name in names}
    figures = {"data": options.data.name, "split": options.split, "clips": len(clips)}
    print(write_record("sync/encoder_alignment", {**figures, "mean": mean, "runs": runs}))


if __name__ == "__main__":
    main()
