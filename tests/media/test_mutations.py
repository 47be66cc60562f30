"""Broken files of every container get one of the answers that are promised, and no exception."""

import importlib
from pathlib import Path

import pytest
from pipelines.red_detector import RedDetector

from avsync.media.audio_reader import read_audio
from avsync.media.container import UnreadableMedia, packets
from avsync.pipelines.check.check_file import check

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CONTAINERS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".ts", ".flv")
SEED, EACH = 4, 5


@pytest.fixture
def bench(monkeypatch):
    """Imports a script of benchmarks/ by name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_every_broken_file_gets_an_answer(make_clip, bench, suffix):
    mutations, robustness = bench("mutations"), bench("robustness")
    rate = 44100 if suffix == ".flv" else 48000
    clip = make_clip(f"clip{suffix}", duration_s=1.4, flashes=(), sample_rate=rate)
    whole = clip.read_bytes()
    assert robustness.flaw(check(clip, detector=RedDetector())) is None
    for number in range(EACH):
        clip.write_bytes(mutations.mutate(whole, [whole], SEED, number).data)
        assert robustness.flaw(check(clip, detector=RedDetector())) is None


def test_a_mutation_is_the_same_every_time_and_another_one_is_not(bench):
    mutate = bench("mutations").mutate
    data = bytes(range(256)) * 400
    broken = [mutate(data, [data], SEED, number).data for number in range(30)]
    assert broken == [mutate(data, [data], SEED, number).data for number in range(30)]
    assert len({*broken, data}) > 25


def test_every_kind_of_mutation_changes_the_file(bench):
    mutate, kinds = bench("mutations").mutate, set()
    data = b"moov trak mdhd stts" * 5000
    for number in range(200):
        kind, broken = mutate(data, [data[::-1]], SEED, number)
        kinds |= {kind} if broken != data else set()
    assert kinds >= set(bench("mutations").KINDS)


def test_sound_at_an_absurd_rate_is_no_sound(make_clip):
    clip = make_clip("clip.mov", audio_codec="pcm_s16le", video=False, sample_rate=48000)
    data = bytearray(clip.read_bytes())
    at = data.index(b"sowt") + 28
    assert data[at : at + 4] == bytes.fromhex("bb800000")
    data[at : at + 4] = bytes.fromhex("00010000")
    clip.write_bytes(data)
    with pytest.raises(UnreadableMedia, match="no audio of the audio stream could be decoded"):
        list(read_audio(clip, 0.0))


class _Demuxer:
    """What PyAV does in a file that shows a new stream long after its beginning."""

    def __init__(self) -> None:
        self.left = list(range(100))

    def demux(self, _streams):
        while self.left:
            number = self.left.pop(0)
            if number % 50 >= 10:
                raise IndexError("list index out of range")
            yield number


def test_packets_of_a_stream_that_the_header_does_not_name_are_passed_over():
    found = list(packets(_Demuxer()))
    assert found == [*range(10), *range(50, 60)]
