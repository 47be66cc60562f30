"""Run a lip reader on clips: load it, find the transcript, read, count word errors."""

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
from avsync.hub import weights_path
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

# Inputs that the reader is given.
ReaderInput = Literal["video", "audio", "both"]
READER_INPUTS: tuple[ReaderInput, ...] = get_args(ReaderInput)
# Names that a message lists before it counts the rest.
MAX_NAMES = 5


def load_reader(weights: Path) -> LipReader:
    """Load a lip reader, or the one inside an AV-SyncNet, onto the GPU if there is one.

    Raises:
        RuntimeError: the file cannot be read or holds another model.
    """
    config = checkpoints.load(weights_path(weights)).config
    name = "av_syncnet" if "reader" in config else "lip_reader"
    try:
        model = create_model(name, weights=weights)
    except (ValueError, TypeError, RuntimeError) as error:
        raise RuntimeError(
            f"{weights} holds neither a lip reader nor an AV-SyncNet: {error}"
        ) from error
    reader = model if isinstance(model, LipReader) else model.get_submodule("reader")
    return cast(LipReader, reader).to("cuda" if torch.cuda.is_available() else "cpu")


@torch.inference_mode()
def read_clip(
    reader: LipReader,
    crops: np.ndarray | None = None,
    wav: np.ndarray | None = None,
    beam: int = 1,
) -> str:
    """Read the text of a clip from its mouth crops, its audio, or both.

    Args:
        reader: a lip reader in eval mode.
        crops: mouth crops `(T, H, W, 3)` uint8 in the geometry of `reader.spec`.
        wav: audio `(640 T,)` at 16 kHz.
        beam: beam width; 1 is greedy decoding.
    """
    device = reader.classifier.weight.device
    frames = None if crops is None else to_frames(np.array(crops)).to(device)
    audio = None if wav is None else torch.from_numpy(np.array(wav))[None].to(device)
    # Speech has less than one symbol a frame; decoding beyond that does not end.
    lengths = ([] if crops is None else [len(crops)]) + (
        [] if wav is None else [-(-len(wav) // SAMPLES_PER_FRAME)]
    )
    return reader.read(frames, audio, beam, max(lengths, default=1))[0]


def transcript_between(folder: Path, source: str, start_s: float, end_s: float) -> Transcript:
    """Return the transcript of a part of a source.

    Raises:
        ValueError: `folder` is no folder, or has no transcript of the source.
    """
    if not folder.is_dir():
        raise ValueError(f"transcripts must be a folder, got {folder}")
    return read_transcript(folder, source).between(start_s, end_s)


def check_vocabulary(reader: LipReader, transcripts: Iterable[Transcript]) -> None:
    """Raise ValueError that names the words which the reader's vocabulary cannot write."""
    unit, known = reader.vocabulary.unit, set(reader.vocabulary.symbols)
    words = {word for transcript in transcripts for word in transcript.words}
    unknown = sorted(w for w in words if not ({w} if unit == "words" else set(w)) <= known)
    if unknown:
        raise ValueError(
            f"transcripts must be made of the {len(known)} {unit} that the reader knows, got "
            f"{join_names(unknown)} as well: --unknown count counts these as errors"
        )


def aligned_audio(clip: PreparedClip, truth_ms: float) -> np.ndarray:
    """Delay the audio of a clip by its known offset, so that it is in sync with the lips.

    Args:
        clip: the prepared clip.
        truth_ms: its known offset; positive = the audio leads.

    Returns:
        Audio `(640 T,)` at 16 kHz.
    """
    shift_s = truth_ms / 1000
    return WavInMemory(np.asarray(clip.wav_16k)).window(-shift_s, clip.duration_s - shift_s)


def word_error_figures(texts: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Compute the word error rate over pairs of true and read texts, as plain data.

    Returns:
        `wer` over all texts and its `interval`, `words` and the edits by kind, and `confused`, the
        substitutions, most frequent first.
    """
    errors = [count_word_errors(*pair) for pair in texts]
    total = sum_word_errors(errors)
    return {
        "wer": total.rate,
        "interval": None if total.rate is None else list(word_error_rate_interval(errors)),
        **edit_counts(total),
        "confused": _confused(total),
    }


def edit_counts(errors: WordErrors) -> dict[str, int]:
    """Return the counts of words and of edits by kind, as plain data."""
    return {
        "words": errors.words,
        "substitutions": errors.substitutions,
        "deletions": errors.deletions,
        "insertions": errors.insertions,
    }


def join_names(names: Sequence[str]) -> str:
    """Join the first five names, and count the rest."""
    more = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")


def _confused(errors: WordErrors) -> list[dict[str, Any]]:
    """List substitutions with their counts, most frequent first."""
    swaps = sorted(Counter(errors.swaps).items(), key=lambda swap: (-swap[1], swap[0]))
    return [{"said": said, "read": read, "times": times} for (said, read), times in swaps]
