"""Contact sheet: the first batch of a run as one image, crops in a row above their audio.

It shows the model's input after augmentation, so that wrong crops or shifted audio are seen before
they cost a run.
"""

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from torch import Tensor

from avsync.atomic import replacing
from avsync.timing import FPS, SAMPLE_RATE
from avsync.training.engine.batches import as_floats

SHEET_FILE = "contact_sheet.png"
ITEMS, FRAMES = 8, 12
CROP_PX, AUDIO_PX, TEXT_PX, GAP_PX = 96, 48, 18, 10
PAPER, INK = 255, (40, 40, 40)
LABELS = {1.0: "in sync", 0.0: "out of sync"}


class _SheetInputs(NamedTuple):
    """What is drawn of a batch: frames `(B, T, H, W, 3)`, audio `(B, ...)`, labels `(B,)`."""

    frames: np.ndarray
    audio: np.ndarray | None
    labels: np.ndarray | None


def write_contact_sheet(folder: Path, batch: tuple[Tensor, ...]) -> Path | None:
    """Write `contact_sheet.png` of a batch.

    Args:
        folder: output folder.
        batch: frames `(B, 3, T, H, W)` or greyscale frames `(B, T, H, W)`, and in any order audio
            as samples `(B, N)` or as mel `(B, M, S)`, and labels `(B,)`, 1 in sync and 0 not.

    Returns:
        The path of the image, or None if the batch has no frames.
    """
    sheet = contact_sheet(batch)
    if sheet is None:
        return None
    with replacing(folder / SHEET_FILE) as partial:
        cv2.imwrite(str(partial), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    return folder / SHEET_FILE


def contact_sheet(batch: tuple[Tensor, ...]) -> np.ndarray | None:
    """Draw the contact sheet `(H, W, 3)` uint8 RGB of a batch; None if it has no frames."""
    inputs = _sheet_inputs(batch)
    if inputs is None:
        return None
    strips = [_strip(inputs, item) for item in range(min(ITEMS, len(inputs.frames)))]
    gap = np.full((GAP_PX, strips[0].shape[1], 3), PAPER, np.uint8)
    return np.concatenate([part for strip in strips for part in (strip, gap)])


def _sheet_inputs(batch: tuple[Tensor, ...]) -> _SheetInputs | None:
    frames = audio = labels = None
    for tensor in as_floats(batch):
        values = tensor.detach().float().cpu().numpy()
        if values.ndim == 5 and values.shape[1] == 3:
            frames = values.transpose(0, 2, 3, 4, 1)
        elif values.ndim == 4:
            frames = values[..., None].repeat(3, -1)
        elif values.ndim == 1:
            labels = values
        else:
            audio = values
    return None if frames is None else _SheetInputs(frames, audio, labels)


def _strip(inputs: _SheetInputs, item: int) -> np.ndarray:
    """Draw one item of a batch: a caption, its crops, its audio."""
    frames = inputs.frames[item]
    chosen = np.linspace(0, len(frames) - 1, min(len(frames), FRAMES)).round().astype(int)
    crops = np.concatenate([_crop(frames[number], frames) for number in chosen], axis=1)
    rows = [crops]
    text = f"{len(frames)} frames, {len(frames) / FPS:.2f} s"
    if inputs.audio is not None:
        audio = inputs.audio[item]
        draw = _waveform if audio.ndim == 1 else _mel
        rows.append(draw(audio, crops.shape[1]))
        if audio.ndim == 1:
            text += f"; {len(audio) / SAMPLE_RATE:.2f} s of audio"
    if inputs.labels is not None:
        label = float(inputs.labels[item])
        text = f"{LABELS.get(label, f'label {label:g}')}: {text}"
    return np.concatenate([caption(text, crops.shape[1]), *rows])


def _crop(frame: np.ndarray, clip: np.ndarray) -> np.ndarray:
    # Frames that augmentation took out of [0, 1] are shown on the clip's own scale.
    low, high = min(0.0, float(clip.min())), max(1.0, float(clip.max()))
    image = (255 * (frame - low) / (high - low)).astype(np.uint8)
    width = max(1, round(frame.shape[1] * CROP_PX / frame.shape[0]))
    return cv2.resize(image, (width, CROP_PX), interpolation=cv2.INTER_NEAREST)


def _waveform(wav: np.ndarray, width: int) -> np.ndarray:
    """Draw the peak of the samples of each column; the loudest peak fills the height."""
    image = np.full((AUDIO_PX, width, 3), PAPER, np.uint8)
    edges = np.linspace(0, len(wav), width + 1).astype(int)
    peaks = np.array([np.abs(wav[a : max(a + 1, b)]).max() for a, b in pairwise(edges)])
    half = (AUDIO_PX / 2 * peaks / max(float(peaks.max()), 1e-6)).round().astype(int)
    for x, reach in enumerate(half):
        image[AUDIO_PX // 2 - reach : AUDIO_PX // 2 + reach + 1, x] = INK
    return image


def _mel(mel: np.ndarray, width: int) -> np.ndarray:
    """Draw a mel spectrogram, low bands at the bottom, loud dark."""
    spread = max(float(mel.max() - mel.min()), 1e-6)
    grey = (PAPER * (1 - (mel[::-1] - mel.min()) / spread)).astype(np.uint8)
    image = cv2.resize(grey, (width, AUDIO_PX), interpolation=cv2.INTER_NEAREST)
    return np.repeat(image[..., None], 3, axis=-1)


def caption(text: str, width: int) -> np.ndarray:
    """Draw a line of text as an image `(18, width, 3)` uint8."""
    image = np.full((TEXT_PX, width, 3), PAPER, np.uint8)
    cv2.putText(image, text, (2, TEXT_PX - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.4, INK, 1, cv2.LINE_AA)
    return image
