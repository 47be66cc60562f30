"""Figures of talking faces: per clip, over all clips, as plain text and as a contact sheet."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple
from zlib import crc32

import cv2
import numpy as np
import torch

from avsync.atomic import replacing
from avsync.evaluation.score_matrix import score_clip_band, window_count
from avsync.evaluation.sync_accuracy import bootstrap_interval
from avsync.metrics.sync_accuracy import CANDIDATES, MAX_SHIFT, best_offsets, candidate_windows
from avsync.metrics.sync_embeddings import chance_primacy_index, lip_sync_error, primacy_index
from avsync.outputs import OutputKind, check_output
from avsync.pipelines.check.messages import printable
from avsync.pipelines.evaluate.lip_reader_runner import join_names, word_error_figures
from avsync.pipelines.evaluate.video_pairs import JudgedClip, Likeness
from avsync.scoring.embeddings import SyncModel
from avsync.tasks.talking.generator import FACE_SPEC
from avsync.training.engine.contact_sheet import GAP_PX, PAPER, caption

# Audio shifted by at least this many frames counts as shifted.
MIN_SHIFTED_FRAMES = 5
# Printed means over clips: title, decimals and unit.
LIKENESS = {"psnr": ("PSNR", 2, " dB"), "ssim": ("SSIM", 3, "")}
SYNC = {"lse_d": ("LSE-D", 3, ""), "lse_c": ("LSE-C", 3, ""), "pri": ("PRI", 3, "")}
# Clips on a contact sheet, frames of each, and its formats.
SHEET_CLIPS, SHEET_FRAMES = 8, 12
SHEET_SUFFIXES = (".png", ".jpg", ".jpeg")
# A comment in the image, and where a PNG takes one.
SIGNATURE, PNG_START = b"Software\0avsync evaluate talking", 33
SHEET = OutputKind("a sheet of an avsync evaluate talking", lambda head: SIGNATURE in head)


class SyncFigures(NamedTuple):
    """Figures of a sync model for the lips and the speech of a clip.

    Offset and comparison use the mean scores of the windows that have all 31 candidates, or of all
    windows in a clip that has none of those.

    Args:
        lse_d: lip-sync error distance of the embeddings; None for a model without embeddings.
        lse_c: lip-sync error confidence, likewise.
        pri: primacy index, likewise.
        pri_chance: primacy index at chance level, likewise.
        offset_frames: offset with the best mean score; positive = the audio leads.
        in_place_better: whether the mean score at offset 0 is higher than the average of those
            at shifts of 5 to 15 frames.
    """

    lse_d: float | None
    lse_c: float | None
    pri: float | None
    pri_chance: float | None
    offset_frames: int
    in_place_better: bool


@dataclass(frozen=True)
class ClipRow:
    """Figures of one clip.

    Args:
        clip: name of the clip.
        status: `ok` or `unreadable`.
        detail: the reason for `unreadable`.
        likeness: similarity to the true face; None without one.
        sync: sync figures; None for a clip no longer than a window of the model.
        undrawn: sync figures of the true face with the same audio; None if it is not available.
        said: true text; None without a reader, or if no whole word lies in the clip.
        read: text that the lip reader read, likewise.
    """

    clip: str
    status: Literal["ok", "unreadable"]
    detail: str = ""
    likeness: Likeness | None = None
    sync: SyncFigures | None = None
    undrawn: SyncFigures | None = None
    said: str | None = None
    read: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain JSON, null where undefined.

        An infinite PSNR, that of a face identical to the true one, is null too.
        """
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
    """Score the lips of a clip against its audio with a sync model.

    Args:
        model: a sync task in eval mode.
        crops: crops `(T, H, W, 3)` uint8 in the geometry of `model.spec`.
        wav: audio `(640 T,)` at 16 kHz, from the first crop on.

    Returns:
        The figures, or None for a clip no longer than a window of the model.
    """
    if window_count(model.spec.window_frames, crops, wav) < 1:
        return None
    scored = score_clip_band(model, crops, wav)
    index = candidate_windows(len(scored.band))
    # Windows outside the clip are no candidates: only LSE counts them.
    known = scored.band.masked_fill((index < 0) | (index >= len(index)), torch.nan)
    # Windows at a clip's ends lack candidates, and are mostly silent, which matches the still lips
    # there: with them nearly any audio scores higher at offset 0 than shifted.
    whole = known[~known.isnan().any(1)]
    means = (whole if len(whole) else known).nanmean(0)
    shifted = (torch.arange(CANDIDATES) - MAX_SHIFT).abs() >= MIN_SHIFTED_FRAMES
    better = bool(means[MAX_SHIFT] > means[shifted].nanmean())
    offset = int(best_offsets(means[None]))
    if scored.video is None or scored.audio is None:
        return SyncFigures(None, None, None, None, offset, better)
    error = lip_sync_error(scored.video, scored.audio)
    pri, chance = primacy_index(scored.video, scored.audio), chance_primacy_index(len(scored.video))
    return SyncFigures(error.lse_d, error.lse_c, pri, chance, offset, better)


def talking_figures(rows: Sequence[ClipRow]) -> dict[str, Any]:
    """Summarize clips as plain JSON: means with intervals, counts of clips and word errors."""
    good = [row.to_json() for row in rows if row.status == "ok"]
    judged = [row for row in good if row["offset_frames"] is not None]
    texts = [(row.said, row.read) for row in rows if row.said is not None and row.read is not None]
    return {
        "clips": len(good),
        "unreadable": len(rows) - len(good),
        "identical": sum(row["ssim"] is not None and row["psnr"] is None for row in good),
        **{
            name: _mean_json([row[name] for row in good])
            for name in (*LIKENESS, *SYNC, "pri_chance")
        },
        **_sync_counts(judged),
        "undrawn": _sync_counts([row["undrawn"] for row in judged if row["undrawn"]]),
        "reading": word_error_figures(texts) | {"clips": len(texts)} if texts else None,
        "per_clip": [row.to_json() for row in rows],
    }


def talking_lines(figures: dict[str, Any], judge: str, reader: str | None) -> list[str]:
    """Format the figures as lines of plain text.

    Args:
        figures: figures from `talking_figures`.
        judge: name of the sync model.
        reader: name of the lip reader's weights.
    """
    lines = []
    if means := _means_text(figures, LIKENESS):
        lines.append(f"lower half of the face: {means}")
    if figures["identical"]:
        lines.append(f"{figures['identical']} are identical to the true video and have no PSNR")
    lines += _sync_lines(figures, judge)
    if reading := figures["reading"]:
        low, high = reading["interval"]
        lines.append(
            f"lips read by {reader}: word error rate {100 * reading['wer']:.1f} % (95 %: "
            f"{100 * low:.1f} to {100 * high:.1f}), {reading['words']} words of "
            f"{reading['clips']} clips"
        )
    short = [row["clip"] for row in figures["per_clip"] if _is_too_short(row)]
    if short:
        lines.append(f"too short for a window of {judge}: {join_names(short)}")
    lines += [f"{row['clip']}: {row['detail']}" for row in figures["per_clip"] if row["detail"]]
    return [printable(line) for line in lines]


class TalkingSheet:
    """Contact sheet of frames of the first clips.

    Args:
        path: output file, .png or .jpg.

    Raises:
        ValueError: the file has another suffix.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() not in SHEET_SUFFIXES:
            raise ValueError(f"the sheet must end in {', '.join(SHEET_SUFFIXES)}, got {path}")
        self.path, self._strips = path, list[np.ndarray]()

    def add(self, clip: JudgedClip, said: str | None = None, read: str | None = None) -> None:
        """Add a clip unless the sheet is full.

        Its generated faces stand below the true ones, if it has those, with the true text and the
        text that was read.
        """
        if len(self._strips) == SHEET_CLIPS:
            return
        faces = clip.crops(FACE_SPEC)
        chosen = np.linspace(0, len(faces) - 1, SHEET_FRAMES).round().astype(int)
        rows = [_side_by_side(faces[chosen])]
        if clip.true_crops is not None:
            rows.insert(0, _side_by_side(clip.true_crops(FACE_SPEC)[chosen]))
        text = clip.name if said is None else f'{clip.name}: should say "{said}", reads "{read}"'
        self._strips.append(np.concatenate([caption(text, rows[0].shape[1]), *rows]))

    def write(self, inputs: Iterable[Path] = (), *, overwrite: bool = False) -> None:
        """Write the sheet atomically; write nothing if no clip was added.

        It replaces an earlier sheet, another file with `overwrite` only, and none of `inputs`.
        """
        if not self._strips:
            return
        gap = np.full((GAP_PX, self._strips[0].shape[1], 3), PAPER, np.uint8)
        sheet = np.concatenate([part for strip in self._strips for part in (strip, gap)])
        _, encoded = cv2.imencode(self.path.suffix, cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
        check_output(self.path, SHEET, inputs, overwrite=overwrite)
        with replacing(self.path) as temporary:
            temporary.write_bytes(_signed(encoded.tobytes()))


def _signed(image: bytes) -> bytes:
    """Return a PNG or JPEG with the comment by which an earlier sheet is recognised."""
    if image.startswith(b"\xff\xd8"):
        # The segment COM, after the marker that begins the image: ISO/IEC 10918-1, B.2.4.5.
        size = (2 + len(SIGNATURE)).to_bytes(2, "big")
        return image[:2] + b"\xff\xfe" + size + SIGNATURE + image[2:]
    # The chunk tEXt, after the signature and IHDR of 25 bytes: the PNG specification, 11.3.3.2.
    text = b"tEXt" + SIGNATURE
    chunk = len(SIGNATURE).to_bytes(4, "big") + text + crc32(text).to_bytes(4, "big")
    return image[:PNG_START] + chunk + image[PNG_START:]


def _sync_counts(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Count the clips whose audio matches best where it is."""
    return {
        "sync_clips": len(rows),
        "within_a_frame": sum(abs(row["offset_frames"]) <= 1 for row in rows),
        "in_place_better": sum(row["in_place_better"] for row in rows),
    }


def _mean_json(values: Sequence[float | None]) -> dict[str, Any] | None:
    """Return the mean of the known values and its bootstrap interval over clips."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return {"mean": float(np.mean(known)), "interval": list(bootstrap_interval(known))}


def _sync_lines(figures: dict[str, Any], judge: str) -> list[str]:
    lines = []
    count, undrawn = figures["sync_clips"], figures["undrawn"]
    if count:
        chance = 3 / CANDIDATES
        lines.append(
            f"by {judge}: the best offset is within a frame of 0 in "
            f"{figures['within_a_frame']} of {count} clips (chance {100 * chance:.1f} %), better "
            f"there than moved in {figures['in_place_better']} of {count}"
        )
    if undrawn["sync_clips"]:
        lines.append(
            f"the true faces with the same audio: within a frame in {undrawn['within_a_frame']}, "
            f"better there than moved in {undrawn['in_place_better']} of {undrawn['sync_clips']}"
        )
    if means := _means_text(figures, SYNC):
        by_chance = figures["pri_chance"]["mean"]
        lines.append(f"embeddings of {judge}: {means} (chance {by_chance:.3f})")
        if judge != "syncnet":
            lines.append("LSE as published is that of syncnet only: this one is not comparable")
    return lines


def _means_text(figures: dict[str, Any], names: dict[str, tuple[str, int, str]]) -> str:
    parts = []
    for name, (title, digits, unit) in names.items():
        if (found := figures[name]) is not None:
            low, high = (f"{bound:.{digits}f}" for bound in found["interval"])
            parts.append(f"{title} {found['mean']:.{digits}f}{unit} (95 %: {low} to {high})")
    return ", ".join(parts)


def _is_too_short(row: dict[str, Any]) -> bool:
    return row["status"] == "ok" and row["offset_frames"] is None


def _side_by_side(faces: np.ndarray) -> np.ndarray:
    """Concatenate faces `(K, H, W, 3)` horizontally."""
    return np.concatenate(list(faces), axis=1)
