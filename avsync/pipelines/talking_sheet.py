"""Faces that were made to talk as one picture: the true ones, and below them those drawn."""

from pathlib import Path

import cv2
import numpy as np

from avsync.atomic import replacing
from avsync.pipelines.judged_clip import JudgedClip
from avsync.tasks.talking_face import FACE_SPEC
from avsync.training.contact_sheet import GAP_PX, PAPER, caption

# Clips of a sheet, and pictures of each.
CLIPS, PICTURES = 8, 12
SUFFIXES = (".png", ".jpg", ".jpeg")


class TalkingSheet:
    """Keeps some pictures of the first clips that it is shown, and writes them as one.

    Args:
        path: where to, .png or .jpg.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() not in SUFFIXES:
            raise ValueError(f"the sheet must end in {', '.join(SUFFIXES)}, got {path}")
        self.path, self._strips = path, list[np.ndarray]()

    def add(self, clip: JudgedClip, said: str | None = None, read: str | None = None) -> None:
        """Keeps the clip, unless there are enough: its true faces where it has them, those that
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
        """Writes the sheet, whole or not at all; nothing where no clip was kept."""
        if not self._strips:
            return
        gap = np.full((GAP_PX, self._strips[0].shape[1], 3), PAPER, np.uint8)
        sheet = np.concatenate([part for strip in self._strips for part in (strip, gap)])
        with replacing(self.path) as beside:
            cv2.imwrite(str(beside), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


def _row(faces: np.ndarray) -> np.ndarray:
    """Faces `(K, H, W, 3)` side by side."""
    return np.concatenate(list(faces), axis=1)
