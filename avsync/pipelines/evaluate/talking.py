"""How good faces are that were made to talk: `avsync evaluate talking`."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from avsync.atomic import write_text
from avsync.data.store.reader import Store
from avsync.data.store.splits import clips_of_split
from avsync.faces.detector import find_detector
from avsync.media.container import UnreadableMedia
from avsync.metrics.word_error_rate import count_word_errors
from avsync.pipelines.check.batch import find_videos
from avsync.pipelines.check.check_file import load_model
from avsync.pipelines.check.messages import UNREADABLE, printable
from avsync.pipelines.evaluate.generated_clips import drawn_clips
from avsync.pipelines.evaluate.lip_reader_runner import (
    load_reader,
    read_clip,
    refuse_unknown,
    said_between,
)
from avsync.pipelines.evaluate.talking_metrics import (
    ClipRow,
    TalkingSheet,
    sync_figures,
    talking_figures,
    talking_lines,
)
from avsync.pipelines.evaluate.video_pairs import JudgedClip, Unlike, filmed_clip
from avsync.pipelines.progress import ProgressCallback, progress_bar
from avsync.pipelines.talk.talk_file import load_talking_face
from avsync.tasks.registry import model_card

SCHEMA = 1


@dataclass(frozen=True)
class TalkingEvaluation:
    """Judges faces that were made to talk: videos, or what a model draws of the clips of a store.

    The lower half of the face beside the true one (PSNR, SSIM), lips and voice by a sync model
    (LSE-D, LSE-C, PRI), and where a lip reader is given the words that it reads off the lips.

    Args:
        made: a video of a face that was made to talk, or a folder of them.
        references: the true video, or a folder of them, of the same names whatever their suffix,
            as large and as long, frame by frame. Without them there is no PSNR and no SSIM.
        data: a store of prepared clips instead of videos, which `model` draws anew.
        model: a talking model that `avsync models` lists.
        weights: a checkpoint of that model.
        splits: JSON file of clip names by split.
        split: which split of that file to draw.
        clips: draw so many of them only; 0 for all.
        voice: whose voice the clips of a store are made to say for sync and reading: that of the
            next clip (`other`) or their `own`. What is not drawn shows the own voice as well.
        truth_ms: the offset of all clips of the store, taken off first; positive = the audio leads.
        sync: the sync model that judges; one that took no part in training.
        sync_weights: a checkpoint of that model instead of the released one.
        reader: weights of a lip reader, or of an AV-SyncNet, that reads the lips.
        transcripts: folder of NAME.align or NAME.txt: what is said, for the reader.
        beam: texts that the reader grows side by side; 1 is greedy.
        unknown: what becomes of words that the reader cannot write: `refuse` or `count`.
        detector: finds the faces of videos; `best` is YuNet where it can be had.
        json: write the figures here, and those of every clip.
        sheet: write a frame of the faces here, .png or .jpg: of the first clips the true ones,
            and below them those that were drawn.
    """

    made: Annotated[Path | None, tyro.conf.arg(metavar="FILE|DIR")] = None
    references: Annotated[Path | None, tyro.conf.arg(metavar="FILE|DIR")] = None
    data: Annotated[Path | None, tyro.conf.arg(metavar="STORE")] = None
    model: str = "synctalklip"
    weights: Path | None = None
    splits: Path | None = None
    split: str = "test"
    clips: int = 0
    voice: Literal["other", "own"] = "other"
    truth_ms: Annotated[float, tyro.conf.arg(aliases=["--corpus-offset-ms"])] = 0.0
    sync: str = "dense_sync"
    sync_weights: Path | None = None
    reader: Path | None = None
    transcripts: Path | None = None
    beam: int = 1
    unknown: Literal["refuse", "count"] = "refuse"
    detector: Literal["best", "yunet", "haar"] = "best"
    json: Path | None = None
    sheet: Path | None = None

    def __post_init__(self) -> None:
        if (self.made is None) == (self.data is None):
            raise ValueError("say what to judge: videos by --made, or a store by --data, not both")
        if self.data is not None and self.weights is None:
            raise ValueError("--data needs --weights of the model that draws its clips")
        if self.data is not None and self.references is not None:
            raise ValueError("--references go with --made: the clips of a store are the true ones")
        if self.made is not None and (self.weights or self.splits):
            raise ValueError("--weights and --splits go with --data: videos are drawn already")
        if (self.reader is None) != (self.transcripts is None):
            raise ValueError("--reader and --transcripts go together: what is read, what is said")
        if self.beam < 1 or self.clips < 0:
            got = f"{self.beam} and {self.clips}"
            raise ValueError(f"beam must be 1 or more and clips 0 or more, got {got}")
        for name, value, known in (
            ("voice", self.voice, ("other", "own")),
            ("unknown", self.unknown, ("refuse", "count")),
        ):
            if value not in known:
                raise ValueError(f"{name} must be {' or '.join(known)}, got {value!r}")


def evaluate_talking(evaluation: TalkingEvaluation) -> dict[str, Any]:
    """Run the evaluation; figures as plain data, written to `json` where that is given. A video
    that cannot be read, or is not like the true one, is an answer of its own.

    ValueError where there is nothing to judge, for a transcript that is missing and for words that
    the reader cannot write, before any clip is judged; RuntimeError for weights of another model.
    """
    judges = _Judges(evaluation)
    with progress_bar("judging") as report:
        rows = _of_store(judges, report) if evaluation.data else _of_films(judges, report)
    figures = {
        "schema": SCHEMA,
        **_about(evaluation),
        "judges": {"sync": evaluation.sync, "sync_weights": _name(evaluation.sync_weights)}
        | {"reader": _name(evaluation.reader)},
        **talking_figures(rows),
    }
    if judges.sheet is not None:
        judges.sheet.write()
    if evaluation.json is not None:
        write_text(evaluation.json, json.dumps(figures, indent=2, allow_nan=False) + "\n")
    return figures


def talking_table(figures: dict[str, Any]) -> str:
    """Return the figures in plain text."""
    if "data" in figures:
        drawn = "their own" if figures["voice"] == "own" else "another clip's"
        head = (
            f"{figures['clips']} clips of {figures['data']}, drawn by {figures['model']} "
            f"({figures['weights']}), judged with {drawn} voice"
        )
    else:
        beside = f" beside {figures['references']}" if figures["references"] else ""
        head = f"{figures['clips']} videos of {figures['made']}{beside}"
    judges = figures["judges"]
    lines = talking_lines(figures, judges["sync"], judges["reader"])
    return "\n".join([printable(head), *lines])


def talking_exit_code(figures: dict[str, Any]) -> int:
    """0, or 12 where a video could not be read or is not like the true one."""
    return UNREADABLE if figures["unreadable"] else 0


class _Judges:
    """The models that judge, loaded once."""

    def __init__(self, evaluation: TalkingEvaluation) -> None:
        model_card(evaluation.sync, "sync")
        self.evaluation = evaluation
        self.sheet = None if evaluation.sheet is None else TalkingSheet(evaluation.sheet)
        self.sync = load_model(evaluation.sync, evaluation.sync_weights)
        self.reader = None if evaluation.reader is None else load_reader(evaluation.reader)

    def check(self, sources: Sequence[str]) -> None:
        """ValueError where a transcript is missing or cannot be written by the reader."""
        folder = self.evaluation.transcripts
        if self.reader is None or folder is None:
            return
        # What lacks jiwer is told before an hour of work.
        count_word_errors("", "")
        said = [said_between(folder, source, 0.0, math.inf) for source in sources]
        if self.evaluation.unknown == "refuse":
            refuse_unknown(self.reader, said)

    def judge(self, clip: JudgedClip) -> ClipRow:
        """Return what they say of a clip."""
        sync = sync_figures(self.sync, clip.crops(self.sync.spec), clip.wav)
        undrawn = None
        if clip.true_crops is not None:
            undrawn = sync_figures(self.sync, clip.true_crops(self.sync.spec), clip.wav)
        row = ClipRow(clip.name, "ok", likeness=clip.likeness, sync=sync, undrawn=undrawn)
        folder = self.evaluation.transcripts
        if self.reader is not None and folder is not None:
            said = said_between(folder, clip.source, clip.start_s, clip.end_s)
            if said.words:
                mouths = clip.crops(self.reader.spec)
                read = read_clip(self.reader, mouths, beam=self.evaluation.beam)
                row = replace(row, said=said.text, read=read)
        if self.sheet is not None:
            self.sheet.add(clip, row.said, row.read)
        return row


def _of_store(judges: _Judges, report: ProgressCallback) -> list[ClipRow]:
    asked = judges.evaluation
    assert asked.data is not None and asked.weights is not None
    store = Store(asked.data)
    places = clips_of_split(store, asked.splits, asked.split)[: asked.clips or None]
    if not places:
        raise ValueError(f"store {store.path} holds no clips")
    if asked.voice == "other" and len(places) < 2:
        raise ValueError("another clip's voice needs two clips or more, got one: --voice own")
    judges.check([store.rows[place].source for place in places])
    _, model = load_talking_face(asked.model, asked.weights)
    rows = []
    for clip in drawn_clips(model, store, places, asked.truth_ms, asked.voice == "own"):
        rows.append(judges.judge(clip))
        report(len(rows) / len(places))
    return rows


def _of_films(judges: _Judges, report: ProgressCallback) -> list[ClipRow]:
    asked = judges.evaluation
    assert asked.made is not None
    pairs = _pairs(asked.made, asked.references)
    judges.check([made.name for made, _ in pairs])
    detector = find_detector(None if asked.detector == "best" else asked.detector)
    specs = [judges.sync.spec] + ([] if judges.reader is None else [judges.reader.spec])
    rows = []
    for made, true in pairs:
        try:
            if true is not None and not true.is_file():
                raise Unlike(f"there is no true video {true}")
            rows.append(judges.judge(filmed_clip(made, true, specs, detector)))
        except (UnreadableMedia, Unlike) as error:
            rows.append(ClipRow(made.stem, "unreadable", str(error)))
        report(len(rows) / len(pairs))
    return rows


def _pairs(made: Path, true: Path | None) -> list[tuple[Path, Path | None]]:
    """Videos and the true ones of the same names."""
    if true is not None and made.is_dir() != true.is_dir():
        got = f"{made} and {true}"
        raise ValueError(f"made and references must both be videos or both folders, got {got}")
    videos = find_videos([made])
    if true is None or not made.is_dir():
        return [(video, true) for video in videos]
    known = {path.relative_to(true).with_suffix(""): path for path in find_videos([true])}
    names = [video.relative_to(made).with_suffix("") for video in videos]
    return [
        (video, known.get(name, true / name)) for video, name in zip(videos, names, strict=True)
    ]


def _about(asked: TalkingEvaluation) -> dict[str, Any]:
    """Return what was judged, as plain data."""
    if asked.data is None:
        return {"made": _name(asked.made), "references": _name(asked.references)}
    return {
        "data": asked.data.name,
        "split": asked.split if asked.splits else None,
        "model": asked.model,
        "weights": _name(asked.weights),
        "voice": asked.voice,
        "truth_ms": asked.truth_ms,
    }


def _name(path: Path | None) -> str | None:
    return None if path is None else path.name
