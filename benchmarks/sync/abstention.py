"""Measure how often avsync abstains on clips whose offset cannot be estimated.

    python benchmarks/sync/abstention.py --shared ../shared [--model NAME --weights FILE]

Real clips that were used neither for training nor for calibration are corrupted: audio of another
speaker, silence, a frozen frame, no face, a face too small, music, audio shifted by 3 s. The
figures are the share without an answer and the share with the right reason. Most clips are written
to files and checked by `avsync.check`.
"""

import argparse
import json
import tempfile
from collections import Counter, defaultdict
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from avsync.data.sampling.crops import crops_for
from avsync.data.store.reader import PreparedClip, Store
from avsync.evaluation.sync_accuracy import decide_clip
from avsync.pipelines.check.check_file import check, load_model
from avsync.pipelines.prepare.prepare_store import prepare
from avsync.scoring.embeddings import SyncModel
from avsync.tasks.calibration import calibration_of
from avsync.tasks.catalog import DEFAULT_SYNC_MODEL
from benchmarks.clip_file import Clip, read_clip, write_clip
from benchmarks.record import machine, write_record
from benchmarks.sync.corruption_fixtures import (
    cropped_away,
    frozen,
    made_small,
    muted,
    out_of_range,
    painted_out,
    read_music,
    with_music,
)

# Shifts of the audio in seconds, outside the default search range.
OUT_OF_RANGE_S = (3.0, -3.0)
# Accepted reasons by kind of corruption. A face of 22 pixels may not be detected at all.
RIGHT_REASONS = {
    "another speaker's voice": {"no_match"},
    "the same speaker's other sentence": {"no_match"},
    "swapped, as files": {"no_match"},
    "muted": {"silence"},
    "frozen": {"still_lips"},
    "face painted out": {"no_face"},
    "face cropped away": {"no_face"},
    "face too small": {"face_too_small", "no_face"},
    "music": {"music"},
    "moved by 3 s": {"out_of_range"},
}
Reasons = dict[str, dict[str, list[str]]]


def swap_audio(model: Any, sources: dict[str, list[PreparedClip]], draws: int) -> Reasons:
    """Score faces with the audio of other clips.

    Args:
        model: a sync model.
        sources: prepared clips by source.
        draws: number of other audios for each clip.

    Returns:
        Reasons by kind of corruption and source; "ok" where an offset was estimated.
    """
    rng = np.random.default_rng(0)
    calibration = calibration_of(model)
    found: Reasons = defaultdict(lambda: defaultdict(list))
    for name, clips in sources.items():
        # GRID s1 is one speaker: his other sentences, and the speech of the other speakers.
        donors_by_kind = (
            {"the same speaker's other sentence": clips} if name == "grid_s1_test" else {}
        )
        others = sources["grid_other_speakers"] if name == "grid_s1_test" else clips
        donors_by_kind["another speaker's voice"] = others
        for kind, donors in donors_by_kind.items():
            for clip in clips:
                choice = [donor for donor in donors if donor.id != clip.id]
                for index in rng.choice(len(choice), min(draws, len(choice)), replace=False):
                    wav = _fit_length(np.asarray(choice[index].wav_16k), len(clip.wav_16k))
                    answer = decide_clip(model, crops_for(model.spec, clip), wav, calibration)
                    found[kind][name].append(answer.reason or answer.status)
    return found


def corrupt_files(
    model: SyncModel, sources: dict[str, list[Path]], shared: Path, folder: Path
) -> Reasons:
    """Check corrupted files and return the reasons by kind of corruption and source."""
    music = list(read_music(shared))
    music_pairs = (music[at % len(music) : at % len(music) + 2] for at in count(step=2))
    found: Reasons = defaultdict(lambda: defaultdict(list))

    def check_clip(kind: str, source: str, clip: Clip) -> None:
        result = check(write_clip(folder / "corrupted.mkv", clip.frames, clip.wav), model=model)
        found[kind][source].append(result.reason or result.status)

    kinds = {
        "muted": muted,
        "frozen": frozen,
        "face painted out": painted_out,
        "face cropped away": cropped_away,
        "face too small": made_small,
    }
    for source, paths in sources.items():
        clips = [read_clip(path, source) for path in paths]
        for index, clip in enumerate(clips):
            for kind, corrupt in kinds.items():
                check_clip(kind, source, corrupt(clip))
            for _, music_wav in next(music_pairs):
                check_clip("music", source, with_music(clip, music_wav, 16000 * index))
            other_wav = _fit_length(clips[(index + 3) % len(clips)].wav, len(clip.wav))
            check_clip("swapped, as files", source, clip._replace(wav=other_wav))
            joined = [clips[(index + step) % len(clips)] for step in range(6)]
            for lead_s in OUT_OF_RANGE_S:
                check_clip("moved by 3 s", source, out_of_range(joined, lead_s))
            print(source, index + 1, "of", len(clips), flush=True)
    return found


def report(found: Reasons) -> dict[str, Any]:
    """Print and return the shares without an answer and with the right reason, by kind."""
    figures: dict[str, Any] = {}
    for kind, sources in found.items():
        rows = {"all": [reason for reasons in sources.values() for reason in reasons], **sources}
        figures[kind] = {}
        for source, reasons in rows.items():
            abstained = [reason for reason in reasons if reason != "ok"]
            right = [reason for reason in abstained if reason in RIGHT_REASONS[kind]]
            figures[kind][source] = {
                "clips": len(reasons),
                "abstained": len(abstained) / len(reasons),
                "right_reason": len(right) / len(reasons),
                "reasons": dict(Counter(reasons)),
            }
        row = figures[kind]["all"]
        print(
            f"{kind}: {row['clips']} clips, {row['abstained']:.1%} abstained, "
            f"{row['right_reason']:.1%} for the right reason {row['reasons']}; abstained by source "
            + ", ".join(f"{name} {figures[kind][name]['abstained']:.0%}" for name in sources)
        )
    return figures


def _fit_length(wav: np.ndarray, samples: int) -> np.ndarray:
    """Cut audio to a length, or repeat it from its start: padding would add silence."""
    return np.resize(wav, samples)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--draws", type=int, default=3, help="audios of other clips for each clip")
    parser.add_argument("--s1-clips", type=int, default=24, help="of the GRID s1 test split")
    parser.add_argument("--model", default=DEFAULT_SYNC_MODEL)
    parser.add_argument("--weights", type=Path)
    arguments = parser.parse_args()
    model = load_model(arguments.model, arguments.weights)
    data = arguments.shared / "data"
    names = json.loads((data / "grid_s1_splits.json").read_text())["test"]
    sources = {
        "grid_other_speakers": sorted((data / "grid_other_speakers").iterdir()),
        "wild_lrs3": sorted((data / "wild_lrs3").iterdir()),
        "grid_s1_test": [
            next((data / "grid_s1").glob(f"{name}.*")) for name in names[: arguments.s1_clips]
        ],
    }
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        stores = {}
        crops = ("mesh",) if model.spec.crop == "mesh" else ()
        for source, paths in sources.items():
            (folder / source).mkdir()
            for path in paths:
                (folder / source / path.name).symlink_to(path.resolve())
            prepare(folder / source, folder / f"store_{source}", crops=crops)
            stores[source] = list(Store(folder / f"store_{source}"))
        found = swap_audio(model, stores, arguments.draws)
        steps = {"grid_other_speakers": 2, "wild_lrs3": 3, "grid_s1_test": 5}
        subset = {source: paths[:: steps[source]] for source, paths in sources.items()}
        found |= corrupt_files(model, subset, arguments.shared, folder)
    figures = report(found)
    print(machine())
    write_record("sync/abstention", {"model": arguments.model, "seed": 0, "kinds": figures})


if __name__ == "__main__":
    main()
