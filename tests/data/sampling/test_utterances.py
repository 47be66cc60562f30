import numpy as np
import pytest

from avsync.data.corpora.transcripts import Transcript
from avsync.data.sampling.clip_windows import ClipWindows
from avsync.data.sampling.utterances import Utterances
from avsync.faces.crops import CropKind
from avsync.tasks.input_spec import ClipSpec

KIND: CropKind = "mouth"
SPEC = ClipSpec(KIND, 96, 96, 1, 0.0, 0.04)
# The clip starts 10 s into its source.
TRANSCRIPT = Transcript(("a", "b", "c"), ((10.2, 10.4), (10.4, 10.6), (10.8, 11.0)))


@pytest.fixture
def windows(store):
    return ClipWindows(store, [0], SPEC)


def cut_at(windows, frames):
    """Return the index of the first frame, found by the brightness of the frames."""
    whole = windows.frames(0, 0, windows.lengths[0])[:, 1, 1, 0].astype(int)
    found = [k for k in range(len(whole)) if whole[k] == frames[0, 1, 1, 0]]
    return next(
        k for k in found if (whole[k : k + len(frames)] == frames[:, 1, 1, 0].astype(int)).all()
    )


def test_parts_hold_their_words_and_no_others(windows):
    utterances = Utterances(windows, [TRANSCRIPT], [10.0], parts=1.0)
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(200):
        frames, wav, text, indices = utterances.draw(rng)
        assert len(wav) == 640 * len(frames)
        low = cut_at(windows, frames)
        high = low + len(frames)
        words = text.split()
        first, last = "abc".index(words[0]), "abc".index(words[-1])
        assert "".join(words) == "abc"[first : last + 1]
        begin, end = TRANSCRIPT.times_s[first][0] - 10, TRANSCRIPT.times_s[last][1] - 10
        assert low <= round(25 * begin) and high >= round(25 * end)
        if first:
            assert low >= round(25 * (TRANSCRIPT.times_s[first - 1][1] - 10))
        if last < 2:
            assert high <= round(25 * (TRANSCRIPT.times_s[last + 1][0] - 10))
        assert set(indices[indices >= 0]) == set(range(len(words)))
        assert (indices == 0).sum() == round(25 * TRANSCRIPT.times_s[first][1]) - round(
            25 * TRANSCRIPT.times_s[first][0]
        )
        seen.add(text)
    assert seen == {"a", "b", "c", "a b", "b c", "a b c"}


def test_whole_sentences_keep_all_words_and_lose_silence(windows):
    utterances = Utterances(windows, [TRANSCRIPT], [10.0])
    rng = np.random.default_rng(0)
    drawn = [utterances.draw(rng) for _ in range(50)]
    assert {utterance.text for utterance in drawn} == {"a b c"}
    lengths = {len(utterance.frames) for utterance in drawn}
    assert min(lengths) >= 20 and max(lengths) <= windows.lengths[0] and len(lengths) > 5


def test_clips_without_word_times_are_not_cut(windows):
    drawn = Utterances(windows, [Transcript(("a",))], [0.0], 1.0).draw(np.random.default_rng(0))
    assert len(drawn.frames) == windows.lengths[0] and drawn.text == "a"
    assert drawn.word_indices is None


def test_wrong_arguments_are_named(store, windows):
    with pytest.raises(ValueError, match=r"parts must be in \[0, 1\], got 2"):
        Utterances(windows, [TRANSCRIPT], [0.0], 2)
    with pytest.raises(ValueError, match="clips must hold one or more, got none"):
        Utterances(ClipWindows(store, [], SPEC), [], [])
