"""Does avsync say that it does not know? `python benchmarks/abstention.py --shared ../shared`.

Real clips that no model and no calibration has seen are spoilt: another voice, no sound, a still
picture, no face, a face too small, music, sound moved by 3 s. Counted is how many get no answer,
and how many of them for the right reason. Most go through files and `check`.
"""

import argparse
import json
import tempfile
from collections import Counter, defaultdict
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from record import machine, write_record
from spoilt_clips import (
    Clip,
    cropped_away,
    far_off,
    frozen,
    made_small,
    muted,
    painted_out,
    read_clip,
    read_music,
    with_music,
    write_clip,
)

from avsync.data.sampling.crops import crops_for
from avsync.data.store.reader import PreparedClip, Store
from avsync.evaluation.sync_accuracy import answer_clip
from avsync.pipelines.check.check_file import check, load_model
from avsync.pipelines.prepare.prepare_store import prepare
from avsync.tasks.calibration import calibration_of

# Sound is moved by this much, in seconds: further than the default search sees.
FAR_S = (3.0, -3.0)
# Reasons that a person would call right. A face of 22 pixels may go unseen.
RIGHT = {
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
Found = dict[str, dict[str, list[str]]]


def swap_voices(model: Any, sources: dict[str, list[PreparedClip]], draws: int) -> Found:
    """Reasons by kind and source for faces with voices of other clips; "ok" is an answer."""
    rng = np.random.default_rng(0)
    calibration = calibration_of(model)
    found: Found = defaultdict(lambda: defaultdict(list))
    for name, clips in sources.items():
        # GRID s1 is one man: his own sentences, and the voices of the other speakers.
        voices = {"the same speaker's other sentence": clips} if name == "grid_s1_test" else {}
        others = sources["grid_other_speakers"] if name == "grid_s1_test" else clips
        voices["another speaker's voice"] = others
        for kind, donors in voices.items():
            for clip in clips:
                choice = [donor for donor in donors if donor.id != clip.id]
                for place in rng.choice(len(choice), min(draws, len(choice)), replace=False):
                    wav = _fitted(np.asarray(choice[place].wav_16k), len(clip.wav_16k))
                    answer = answer_clip(model, crops_for(model.spec, clip), wav, calibration)
                    found[kind][name].append(answer.reason or answer.status)
    return found


def spoil_files(sources: dict[str, list[Path]], shared: Path, folder: Path) -> Found:
    """Reasons by kind and source for spoilt files."""
    music = list(read_music(shared))
    turns = (music[at % len(music) : at % len(music) + 2] for at in count(step=2))
    found: Found = defaultdict(lambda: defaultdict(list))

    def ask(kind: str, source: str, clip: Clip) -> None:
        result = check(write_clip(folder / "spoilt.mkv", clip.frames, clip.wav))
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
        for place, clip in enumerate(clips):
            for kind, spoil in kinds.items():
                ask(kind, source, spoil(clip))
            for _, played in next(turns):
                ask("music", source, with_music(clip, played, 16000 * place))
            voice = _fitted(clips[(place + 3) % len(clips)].wav, len(clip.wav))
            ask("swapped, as files", source, clip._replace(wav=voice))
            joined = [clips[(place + step) % len(clips)] for step in range(6)]
            for lead_s in FAR_S:
                ask("moved by 3 s", source, far_off(joined, lead_s))
            print(source, place + 1, "of", len(clips), flush=True)
    return found


def report(found: Found) -> dict[str, Any]:
    """Prints and returns, by kind, the share that got no answer and the right reason."""
    figures: dict[str, Any] = {}
    for kind, sources in found.items():
        rows = {"all": [reason for each in sources.values() for reason in each], **sources}
        figures[kind] = {}
        for source, reasons in rows.items():
            silent = [reason for reason in reasons if reason != "ok"]
            right = [reason for reason in silent if reason in RIGHT[kind]]
            figures[kind][source] = {
                "clips": len(reasons),
                "abstained": len(silent) / len(reasons),
                "right_reason": len(right) / len(reasons),
                "reasons": dict(Counter(reasons)),
            }
        row = figures[kind]["all"]
        print(
            f"{kind}: {row['clips']} clips, {row['abstained']:.1%} no answer, "
            f"{row['right_reason']:.1%} for the right reason {row['reasons']}; no answer by source "
            + ", ".join(f"{name} {figures[kind][name]['abstained']:.0%}" for name in sources)
        )
    return figures


def _fitted(wav: np.ndarray, samples: int) -> np.ndarray:
    """Sound of that length: cut, or repeated from its start, as no clip may end in silence."""
    return np.resize(wav, samples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--draws", type=int, default=3, help="other voices for each clip")
    parser.add_argument("--s1-clips", type=int, default=24, help="clips of the s1 test split")
    arguments = parser.parse_args()
    data = arguments.shared / "data"
    names = json.loads((data / "grid_s1_splits.json").read_text())["test"]
    sources = {
        "grid_other_speakers": sorted((data / "grid_other_speakers").iterdir()),
        "wild_lrs3": sorted((data / "wild_lrs3").iterdir()),
        "grid_s1_test": [
            next((data / "grid_s1").glob(f"{name}.*")) for name in names[: arguments.s1_clips]
        ],
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stores = {}
        for source, paths in sources.items():
            (folder / source).mkdir()
            for path in paths:
                (folder / source / path.name).symlink_to(path.resolve())
            prepare(folder / source, folder / f"store_{source}")
            stores[source] = list(Store(folder / f"store_{source}"))
        found = swap_voices(load_model("dense_sync"), stores, arguments.draws)
        every = {"grid_other_speakers": 2, "wild_lrs3": 3, "grid_s1_test": 5}
        few = {source: paths[:: every[source]] for source, paths in sources.items()}
        found |= spoil_files(few, arguments.shared, folder)
    figures = report(found)
    print(machine())
    write_record("abstention", {"seed": 0, "kinds": figures})


if __name__ == "__main__":
    main()
