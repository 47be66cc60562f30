"""What judges say of clips of faces that were made to talk, as plain data and as lines of text."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
import torch

from avsync.atomic import replacing
from avsync.evaluation.score_matrix import score_clip_band, window_count
from avsync.evaluation.sync_accuracy import bootstrap_interval
from avsync.metrics.sync_accuracy import CANDIDATES, MAX_SHIFT, best_offsets, candidate_windows
from avsync.metrics.sync_embeddings import chance_primacy_index, lip_sync_error, primacy_index
from avsync.pipelines.check.messages import printable
from avsync.pipelines.evaluate.lip_reader_runner import listed, reading_figures
from avsync.pipelines.evaluate.video_pairs import JudgedClip, Likeness
from avsync.scoring.engine import SyncModel
from avsync.tasks.talking.generator import FACE_SPEC
from avsync.training.engine.contact_sheet import GAP_PX, PAPER, caption

# A voice moved by so many frames and more counts as moved.
MOVED_FRAMES = 5
# What is printed of the means over clips, and with how many decimals.
LIKENESS = {"psnr": ("PSNR", 2, " dB"), "ssim": ("SSIM", 3, "")}
SYNC = {"lse_d": ("LSE-D", 3, ""), "lse_c": ("LSE-C", 3, ""), "pri": ("PRI", 3, "")}


class SyncFigures(NamedTuple):
    """How well lips and voice of a clip fit, by a sync model.

    LSE and PRI are those of its embeddings, None where it has none. The rest is of the mean scores
    of the windows that meet all 31 voices, of all windows in a clip without such: `offset_frames`
    is the best shift, positive = the audio leads; `in_place_better` tells whether the voice scores
    better in its place than moved by 5 to 15 frames, on average.
    """

    lse_d: float | None
    lse_c: float | None
    pri: float | None
    pri_chance: float | None
    offset_frames: int
    in_place_better: bool


@dataclass(frozen=True)
class ClipRow:
    """The answer for one clip: `status` is `ok`, or `unreadable` with the cause in `detail`.

    `sync` is None for a clip no longer than a window of the model; `undrawn` is the same of the
    true face with the voice that was drawn, where that is at hand. `said` and `read` are None where
    no reader was asked, or no whole word lies in the clip.
    """

    clip: str
    status: Literal["ok", "unreadable"]
    detail: str = ""
    likeness: Likeness | None = None
    sync: SyncFigures | None = None
    undrawn: SyncFigures | None = None
    said: str | None = None
    read: str | None = None

    def as_data(self) -> dict[str, Any]:
        """Plain JSON; what is not known is null, and so is the PSNR of a face that is the true one,
        which is infinite."""
        figures: dict[str, Any] = dict.fromkeys((*Likeness._fields, *SyncFigures._fields))
        if self.likeness is not None:
            figures |= self.likeness._asdict()
        if self.sync is not None:
            figures |= self.sync._asdict()
        if math.isinf(figures["psnr"] or 0):
            figures["psnr"] = None
        figures["undrawn"] = None if self.undrawn is None else self.undrawn._asdict()
        texts = {"said": self.said, "read": self.read}
        return {"clip": self.clip, "status": self.status, "detail": self.detail, **figures, **texts}


def sync_figures(model: SyncModel, crops: np.ndarray, wav: np.ndarray) -> SyncFigures | None:
    """Return what a sync model says of crops `(T, H, W, 3)` uint8 in its geometry and of the audio `(640
    T,)` at 16 kHz that goes with them; None where they are no longer than its window.
    """
    if window_count(model.spec.window_frames, crops, wav) < 1:
        return None
    scored = score_clip_band(model, crops, wav)
    index = candidate_windows(len(scored.band))
    # Windows outside the clip are no answer: only LSE counts them.
    known = scored.band.masked_fill((index < 0) | (index >= len(index)), torch.nan)
    # Those at a clip's ends are mostly silent, which fits the still lips there, and meet only the
    # voices near their place: with them anybody's voice is better there than moved.
    whole = known[~known.isnan().any(1)]
    means = (whole if len(whole) else known).nanmean(0)
    moved = (torch.arange(CANDIDATES) - MAX_SHIFT).abs() >= MOVED_FRAMES
    better = bool(means[MAX_SHIFT] > means[moved].nanmean())
    offset = int(best_offsets(means[None]))
    if scored.video is None or scored.audio is None:
        return SyncFigures(None, None, None, None, offset, better)
    error = lip_sync_error(scored.video, scored.audio)
    pri, chance = primacy_index(scored.video, scored.audio), chance_primacy_index(len(scored.video))
    return SyncFigures(error.lse_d, error.lse_c, pri, chance, offset, better)


def talking_figures(rows: Sequence[ClipRow]) -> dict[str, Any]:
    """Return the figures of all clips: means with their intervals, shares of clips, and words read."""
    good = [row.as_data() for row in rows if row.status == "ok"]
    judged = [row for row in good if row["offset_frames"] is not None]
    texts = [(row.said, row.read) for row in rows if row.said is not None and row.read is not None]
    return {
        "clips": len(good),
        "unreadable": len(rows) - len(good),
        "identical": sum(row["ssim"] is not None and row["psnr"] is None for row in good),
        **{name: mean_of([row[name] for row in good]) for name in (*LIKENESS, *SYNC, "pri_chance")},
        **_in_place(judged),
        "undrawn": _in_place([row["undrawn"] for row in judged if row["undrawn"]]),
        "reading": reading_figures(texts) | {"clips": len(texts)} if texts else None,
        "per_clip": [row.as_data() for row in rows],
    }


def _in_place(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Of how many clips the voice fits in its place."""
    return {
        "sync_clips": len(rows),
        "within_a_frame": sum(abs(row["offset_frames"]) <= 1 for row in rows),
        "in_place_better": sum(row["in_place_better"] for row in rows),
    }


def mean_of(values: Sequence[float | None]) -> dict[str, Any] | None:
    """Return the mean of those that are known, and its interval over clips drawn anew."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return {"mean": float(np.mean(known)), "interval": list(bootstrap_interval(known))}


def talking_lines(figures: dict[str, Any], judge: str, reader: str | None) -> list[str]:
    """Return the figures in plain text; `judge` and `reader` are the names of who judged."""
    lines = []
    if shown := _shown(figures, LIKENESS):
        lines.append(f"lower half of the face: {shown}")
    if figures["identical"]:
        lines.append(f"{figures['identical']} are the true frame itself and have no PSNR")
    count = figures["sync_clips"]
    if count:
        chance = 3 / CANDIDATES
        lines.append(
            f"by {judge}: the voice fits best within a frame of its place in "
            f"{figures['within_a_frame']} of {count} clips (chance {100 * chance:.1f} %), better "
            f"there than moved in {figures['in_place_better']} of {count}"
        )
    undrawn = figures["undrawn"]
    if undrawn["sync_clips"]:
        lines.append(
            f"the true faces with the same voices: within a frame in {undrawn['within_a_frame']}, "
            f"better there than moved in {undrawn['in_place_better']} of {undrawn['sync_clips']}"
        )
    if shown := _shown(figures, SYNC):
        by_chance = figures["pri_chance"]["mean"]
        lines.append(f"embeddings of {judge}: {shown} (chance {by_chance:.3f})")
        if judge != "syncnet":
            lines.append("LSE as published is that of syncnet only: compare it with nothing else")
    if found := figures["reading"]:
        low, high = found["interval"]
        lines.append(
            f"lips read by {reader}: word error rate {100 * found['wer']:.1f} % (95 %: "
            f"{100 * low:.1f} to {100 * high:.1f}), {found['words']} words of "
            f"{found['clips']} clips"
        )
    short = [row["clip"] for row in figures["per_clip"] if _too_short(row)]
    if short:
        lines.append(f"too short for a window of {judge}: {listed(short)}")
    lines += [f"{row['clip']}: {row['detail']}" for row in figures["per_clip"] if row["detail"]]
    return [printable(line) for line in lines]


def _too_short(row: dict[str, Any]) -> bool:
    return row["status"] == "ok" and row["offset_frames"] is None


def _shown(figures: dict[str, Any], names: dict[str, tuple[str, int, str]]) -> str:
    parts = []
    for name, (title, digits, unit) in names.items():
        if (found := figures[name]) is not None:
            low, high = (f"{each:.{digits}f}" for each in found["interval"])
            parts.append(f"{title} {found['mean']:.{digits}f}{unit} (95 %: {low} to {high})")
    return ", ".join(parts)


# Clips of a sheet, and frames of each.
CLIPS, PICTURES = 8, 12
SUFFIXES = (".png", ".jpg", ".jpeg")


class TalkingSheet:
    """Keeps some frames of the first clips that it is shown, and writes them as one.

    Args:
        path: where to, .png or .jpg.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() not in SUFFIXES:
            raise ValueError(f"the sheet must end in {', '.join(SUFFIXES)}, got {path}")
        self.path, self._strips = path, list[np.ndarray]()

    def add(self, clip: JudgedClip, said: str | None = None, read: str | None = None) -> None:
        """Keep the clip, unless there are enough: its true faces where it has them, those that
        were made below, with what they should say and what was read off them.
        """
        if len(self._strips) == CLIPS:
            return
        made = clip.crops(FACE_SPEC)
        chosen = np.linspace(0, len(made) - 1, PICTURES).round().astype(int)
        rows = [_row(made[chosen])]
        if clip.true_crops is not None:
            rows.insert(0, _row(clip.true_crops(FACE_SPEC)[chosen]))
        text = clip.name if said is None else f'{clip.name}: should say "{said}", reads "{read}"'
        self._strips.append(np.concatenate([caption(text, rows[0].shape[1]), *rows]))

    def write(self) -> None:
        """Write the sheet, whole or not at all; nothing where no clip was kept."""
        if not self._strips:
            return
        gap = np.full((GAP_PX, self._strips[0].shape[1], 3), PAPER, np.uint8)
        sheet = np.concatenate([part for strip in self._strips for part in (strip, gap)])
        with replacing(self.path) as beside:
            cv2.imwrite(str(beside), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


def _row(faces: np.ndarray) -> np.ndarray:
    """Faces `(K, H, W, 3)` side by side."""
    return np.concatenate(list(faces), axis=1)
