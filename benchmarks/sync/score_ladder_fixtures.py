"""Faults of five strengths for scores of talking faces, and changes that do no harm.

A fault maps a clip in memory to a worse one, or to a file of another codec or frame rate. Freeze,
wrong voice and leak affect the last part of the speech, not of the clip: GRID clips are silent for
half of their time, where nothing is to be seen.
"""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from avsync.scoring.result import OffsetSegment
from avsync.timing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from benchmarks.clip_file import Clip, write_clip
from benchmarks.media import transcode
from benchmarks.media.transcode import Variant
from benchmarks.sync.corruption_fixtures import muted
from benchmarks.sync.drift_and_jump_fixtures import Truth, apply_offset

SEED = 0
# Speech is where the level of 40 ms is within this many dB of the loudest.
SPEECH_DB = 30.0


class Donors(NamedTuple):
    """Audio that faults add to a clip.

    Args:
        speech: audio `(N,)` of another speaker at 16 kHz.
        music: music `(N,)` at 16 kHz.
    """

    speech: np.ndarray
    music: np.ndarray


class Fault(NamedTuple):
    """A fault, and its strengths from weak to strong.

    Args:
        name: name in tables and records.
        unit: what the strengths are.
        strengths: five values.
        change: maps a clip, a strength and donors to the faulty clip; or None.
        variant: maps a strength to how the file is written; None writes H.264 and PCM at 25 fps.
        comparable: whether frames differ from the true ones but not their size and times, so that
            PSNR and SSIM say something.
    """

    name: str
    unit: str
    strengths: tuple[float, ...]
    change: Callable[[Clip, float, Donors], Clip] | None
    variant: Callable[[float], Variant] | None = None
    comparable: bool = False

    def write(self, path: Path, clip: Clip, strength: float, donors: Donors) -> Path:
        """Write a clip with the fault; the suffix of the path is the container's."""
        faulty = clip if self.change is None else self.change(clip, strength, donors)
        if self.variant is None:
            return write_clip(path, faulty.frames, faulty.wav)
        return write_variant(path, faulty, self.variant(strength))


class NeutralChange(NamedTuple):
    """A change that leaves the sync of a clip as it is.

    Args:
        kind: `codec`, `crop` or `fps`.
        name: name in tables and records.
        change: maps a clip to the changed one, or None.
        variant: how the file is written; None writes H.264 and PCM at 25 fps.
    """

    kind: str
    name: str
    change: Callable[[Clip], Clip] | None = None
    variant: Variant | None = None

    def write(self, stem: Path, clip: Clip) -> Path:
        """Write the changed clip to a file of the name; the suffix is added."""
        changed = clip if self.change is None else self.change(clip)
        if self.variant is None:
            return write_clip(stem.with_name(f"{stem.name}.mkv"), changed.frames, changed.wav)
        path = stem.with_name(f"{stem.name}{self.variant.suffix}")
        return write_variant(path, changed, self.variant)


def write_variant(path: Path, clip: Clip, variant: Variant) -> Path:
    """Write a clip of 25 fps and 16 kHz as a variant."""
    times_s = np.arange(len(clip.frames)) / FPS
    timed = transcode.Clip(
        list(clip.frames), times_s, len(clip.frames) / FPS, clip.wav, SAMPLE_RATE, 0.0
    )
    transcode.write(timed, path, variant)
    return path


def speech_frames(clip: Clip) -> tuple[int, int]:
    """Return the first frame of the speech and the one after the last, by the audio's level."""
    blocks = clip.wav[: len(clip.frames) * SAMPLES_PER_FRAME].reshape(-1, SAMPLES_PER_FRAME)
    level_db = 10 * np.log10(np.square(blocks.astype(float)).mean(1) + 1e-12)
    loud = np.flatnonzero(level_db > level_db.max() - SPEECH_DB)
    return int(loud[0]), int(loud[-1]) + 1


def delayed(clip: Clip, delay_ms: float, donors: Donors | None = None) -> Clip:
    """Delay the audio: its offset is negative."""
    segment = OffsetSegment(0.0, len(clip.frames) / FPS, -delay_ms, 0.0)
    return clip._replace(wav=apply_offset(clip.wav, Truth("constant", (segment,))))


def drifting(clip: Clip, last_ms: float, donors: Donors | None = None) -> Clip:
    """Delay the audio linearly: by 0 at the start, and by `last_ms` at the end."""
    length_s = len(clip.frames) / FPS
    segment = OffsetSegment(0.0, length_s, 0.0, -1000 * last_ms / length_s)
    return clip._replace(wav=apply_offset(clip.wav, Truth("drift", (segment,))))


def frozen_from(clip: Clip, percent: float, donors: Donors | None = None) -> Clip:
    """Hold one frame over the last part of the speech and the rest of the clip."""
    start = _late_part(clip, percent)[0]
    frames = clip.frames.copy()
    frames[start:] = frames[start]
    return clip._replace(frames=frames)


def other_voice_from(clip: Clip, percent: float, donors: Donors) -> Clip:
    """Replace the last part of the speech by other speech of the same power."""
    start, end = (frame * SAMPLES_PER_FRAME for frame in _late_part(clip, percent))
    first, last = speech_frames(clip._replace(wav=np.resize(donors.speech, len(clip.wav))))
    spoken = donors.speech[first * SAMPLES_PER_FRAME : last * SAMPLES_PER_FRAME]
    wav = clip.wav.copy()
    wav[start:end] = np.resize(spoken, end - start) * _root_power(clip.wav) / _root_power(spoken)
    return clip._replace(wav=wav)


def silent_from(clip: Clip, percent: float, donors: Donors | None = None) -> Clip:
    """Silence the last part of the speech, while the mouth goes on."""
    start, end = (frame * SAMPLES_PER_FRAME for frame in _late_part(clip, percent))
    wav = clip.wav.copy()
    wav[start:end] = muted(clip).wav[start:end]
    return clip._replace(wav=wav)


def dropped(clip: Clip, percent: float, donors: Donors | None = None) -> Clip:
    """Repeat the frame before, instead of frames drawn at random: times stay as they are."""
    drawn = np.random.default_rng(SEED).random(len(clip.frames)) < percent / 100
    drawn[0] = False
    shown = np.maximum.accumulate(np.where(drawn, 0, np.arange(len(drawn))))
    return clip._replace(frames=clip.frames[shown])


def blurred(clip: Clip, sigma_px: float, donors: Donors | None = None) -> Clip:
    """Blur the frames by a Gaussian."""
    return clip._replace(
        frames=np.stack([cv2.GaussianBlur(frame, (0, 0), sigma_px) for frame in clip.frames])
    )


def shifted_crop(clip: Clip, percent: float, donors: Donors | None = None) -> Clip:
    """Shift the frames right and down by a share of their width; the border is repeated."""
    height, width = clip.frames.shape[1:3]
    shift = round(percent / 100 * width)
    matrix = np.array([[1, 0, shift], [0, 1, shift]], float)
    frames = [
        cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        for frame in clip.frames
    ]
    return clip._replace(frames=np.stack(frames))


def with_margin_cut(clip: Clip, percent: float) -> Clip:
    """Crop a share of the width off each side."""
    cut = round(percent / 100 * clip.frames.shape[2] / 2) * 2
    return clip._replace(frames=clip.frames[:, cut:-cut, cut:-cut])


def add_at(wav: np.ndarray, other: np.ndarray, snr_db: float) -> np.ndarray:
    """Add audio at a signal-to-noise ratio in dB over the whole clip."""
    added = np.resize(other, len(wav))
    gain = _root_power(wav) / _root_power(added) * 10 ** (-snr_db / 20)
    mixed = wav + gain * added
    # Writers clip at full scale, which would be another fault.
    return (mixed / max(1.0, float(np.abs(mixed).max()))).astype(np.float32)


def noisy(clip: Clip, snr_db: float, donors: Donors | None = None) -> Clip:
    """Add white noise."""
    noise = np.random.default_rng(SEED).standard_normal(len(clip.wav))
    return clip._replace(wav=add_at(clip.wav, noise, snr_db))


def musical(clip: Clip, snr_db: float, donors: Donors) -> Clip:
    """Add music."""
    return clip._replace(wav=add_at(clip.wav, donors.music, snr_db))


def _coded(kbps: float) -> Variant:
    return Variant("codec", ".mkv", sample_rate=None, bit_rate=round(1000 * kbps))


def _at_fps(fps: float) -> Variant:
    return Variant("fps", ".mkv", audio="pcm_s16le", fps=Fraction(fps), sample_rate=None)


def _late_part(clip: Clip, percent: float) -> tuple[int, int]:
    """Return the first frame of the last part of the speech, and the frame after the speech."""
    first, end = speech_frames(clip)
    return end - round(percent / 100 * (end - first)), end


def _root_power(wav: np.ndarray) -> float:
    return float(np.sqrt(np.square(wav.astype(float)).mean())) + 1e-9


FIFTHS = (20.0, 40.0, 60.0, 80.0, 100.0)
SNR_DB = (20.0, 10.0, 5.0, 0.0, -5.0)
FAULTS = (
    Fault("delay", "ms", (40.0, 80.0, 160.0, 240.0, 400.0), delayed),
    Fault("drift", "ms at the end", (40.0, 80.0, 160.0, 240.0, 400.0), drifting),
    Fault("freeze", "% of the speech", FIFTHS, frozen_from, comparable=True),
    Fault("wrong voice", "% of the speech", FIFTHS, other_voice_from),
    Fault("leak", "% of the speech", (15.0, 30.0, 45.0, 60.0, 75.0), silent_from),
    Fault("dropped frames", "%", (10.0, 20.0, 40.0, 60.0, 80.0), dropped, comparable=True),
    Fault("blur", "px", (1.0, 2.0, 4.0, 6.0, 8.0), blurred, comparable=True),
    Fault("codec", "kbit/s", (400.0, 200.0, 100.0, 50.0, 25.0), None, _coded, comparable=True),
    Fault("fps", "fps", (20.0, 15.0, 12.0, 10.0, 8.0), None, _at_fps),
    Fault("crop shift", "% of the width", (1.0, 2.0, 4.0, 8.0, 12.0), shifted_crop, None, True),
    Fault("noise", "dB SNR", SNR_DB, noisy),
    Fault("music", "dB SNR", SNR_DB, musical),
)
NEUTRAL = (
    NeutralChange("codec", "H.264, AAC", variant=Variant("h264")),
    NeutralChange("codec", "H.265, AAC", variant=Variant("h265", video="libx265")),
    NeutralChange("codec", "VP8, Opus", variant=Variant("vp8", ".webm", "libvpx", "libopus")),
    NeutralChange("codec", "MPEG-4, PCM", variant=Variant("mpeg4", ".avi", "mpeg4", "pcm_s16le")),
    NeutralChange("crop", "shifted by 2 %", lambda clip: shifted_crop(clip, 2.0)),
    NeutralChange("crop", "2 % cut off each side", lambda clip: with_margin_cut(clip, 2.0)),
    NeutralChange("crop", "5 % cut off each side", lambda clip: with_margin_cut(clip, 5.0)),
    NeutralChange("fps", "24 fps", variant=_at_fps(24.0)),
    NeutralChange("fps", "30 fps", variant=_at_fps(30.0)),
    NeutralChange("fps", "50 fps", variant=_at_fps(50.0)),
)
