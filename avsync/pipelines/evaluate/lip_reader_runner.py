"""A lip reader at work on clips: which there is in a file, what is said in a clip, what is read."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import torch

from avsync import weights as checkpoints
from avsync.data.corpora.transcripts import Transcript, read_transcript
from avsync.data.store.reader import PreparedClip
from avsync.evaluation.score_matrix import WavInMemory
from avsync.metrics.word_error_rate import (
    WordErrors,
    count_word_errors,
    sum_word_errors,
    word_error_rate_interval,
)
from avsync.scoring.engine import to_frames
from avsync.tasks.lipreading.lip_reader import LipReader
from avsync.tasks.registry import create_model
from avsync.timing import SAMPLES_PER_FRAME

# What a reader is shown.
Streams = Literal["video", "audio", "both"]
STREAMS: tuple[Streams, ...] = get_args(Streams)
# So many names are said of what is wrong with more.
NAMED = 5


def load_reader(weights: Path) -> LipReader:
    """Return the lip reader of a file, or that of an AV-SyncNet's, on the GPU where there is one.

    RuntimeError where the file cannot be read or holds another model.
    """
    config = checkpoints.load(weights).config
    name = "av_syncnet" if "reader" in config else "lip_reader"
    try:
        model = create_model(name, weights=weights)
    except (ValueError, TypeError, RuntimeError) as error:
        raise RuntimeError(
            f"{weights} holds neither a lip reader nor an AV-SyncNet: {error}"
        ) from error
    reader = model if isinstance(model, LipReader) else model.get_submodule("reader")
    return cast(LipReader, reader).to("cuda" if torch.cuda.is_available() else "cpu")


def said_between(folder: Path, source: str, start_s: float, end_s: float) -> Transcript:
    """Return what is said in a part of a source; ValueError where there is no transcript of it."""
    if not folder.is_dir():
        raise ValueError(f"transcripts must be a folder, got {folder}")
    return read_transcript(folder, source).between(start_s, end_s)


def refuse_unknown(reader: LipReader, said: Iterable[Transcript]) -> None:
    """ValueError names what is said that a reader cannot write."""
    unit, known = reader.vocabulary.unit, set(reader.vocabulary.symbols)
    words = {word for each in said for word in each.words}
    unknown = sorted(w for w in words if not ({w} if unit == "words" else set(w)) <= known)
    if unknown:
        raise ValueError(
            f"transcripts must be made of the {len(known)} {unit} that the reader knows, got "
            f"{listed(unknown)} as well: --unknown count takes these for read wrong"
        )


@torch.inference_mode()
def read_clip(
    reader: LipReader,
    crops: np.ndarray | None = None,
    wav: np.ndarray | None = None,
    beam: int = 1,
) -> str:
    """Return what a reader makes of mouths `(T, H, W, 3)` uint8 in its geometry, audio `(640 T,)` at 16
    kHz, or both.
    """
    place = reader.classifier.weight.device
    frames = None if crops is None else to_frames(np.array(crops)).to(place)
    voice = None if wav is None else torch.from_numpy(np.array(wav))[None].to(place)
    # Nobody says more than a symbol a frame; what never ends is no text.
    counts = ([] if crops is None else [len(crops)]) + (
        [] if wav is None else [-(-len(wav) // SAMPLES_PER_FRAME)]
    )
    return reader.read(frames, voice, beam, max(counts, default=1))[0]


def moved(clip: PreparedClip, truth_ms: float) -> np.ndarray:
    """Return the audio of a clip `(640 T,)` at 16 kHz as it fits the lips, `truth_ms` later."""
    shift_s = truth_ms / 1000
    return WavInMemory(np.asarray(clip.wav_16k)).window(-shift_s, clip.duration_s - shift_s)


def reading_figures(texts: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the word error rate of all texts together, said and read, with its interval and its edits by
    kind; and which words were read as which, the commonest first.
    """
    errors = [count_word_errors(*pair) for pair in texts]
    total = sum_word_errors(errors)
    return {
        "wer": total.rate,
        "interval": None if total.rate is None else list(word_error_rate_interval(errors)),
        **counts_of(total),
        "confused": confused(total),
    }


def counts_of(errors: WordErrors) -> dict[str, int]:
    """Words and edits by kind, as plain data."""
    return {
        "words": errors.words,
        "substitutions": errors.substitutions,
        "deletions": errors.deletions,
        "insertions": errors.insertions,
    }


def confused(errors: WordErrors) -> list[dict[str, Any]]:
    """Which word was read as which other, and how often: the commonest first."""
    counted = sorted(Counter(errors.swaps).items(), key=lambda each: (-each[1], each[0]))
    return [{"said": said, "read": read, "times": times} for (said, read), times in counted]


def listed(names: Sequence[str]) -> str:
    """Return the first of some names, and how many more there are."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
