"""Checking corrupted files of every container gives a documented result, and no exception."""

from types import SimpleNamespace

import pytest
from pipelines.red_detector import RedDetector

from avsync.media.audio_reader import read_audio
from avsync.media.container import UnreadableMedia, packets
from avsync.pipelines.check.check_file import check
from benchmarks.media.fuzzing import invalidity
from benchmarks.media.mutations import KINDS, mutate

CONTAINERS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".ts", ".flv")
SEED, MUTATIONS = 4, 5


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_every_corrupted_file_gets_a_valid_result(make_clip, suffix):
    rate = 44100 if suffix == ".flv" else 48000
    clip = make_clip(f"clip{suffix}", duration_s=1.4, flashes=(), sample_rate=rate)
    intact = clip.read_bytes()
    assert invalidity(check(clip, detector=RedDetector())) is None
    for number in range(MUTATIONS):
        clip.write_bytes(mutate(intact, [intact], SEED, number).data)
        assert invalidity(check(clip, detector=RedDetector())) is None


def test_a_mutation_depends_on_its_seed_and_number_alone():
    data = bytes(range(256)) * 400
    mutated = [mutate(data, [data], SEED, number).data for number in range(30)]
    assert mutated == [mutate(data, [data], SEED, number).data for number in range(30)]
    assert len({*mutated, data}) > 25


def test_every_kind_of_mutation_changes_the_file():
    kinds = set()
    data = b"moov trak mdhd stts" * 5000
    for number in range(200):
        kind, mutated = mutate(data, [data[::-1]], SEED, number)
        kinds |= {kind} if mutated != data else set()
    assert kinds >= set(KINDS)


def test_audio_at_an_impossible_rate_is_not_decoded(make_clip):
    clip = make_clip("clip.mov", audio_codec="pcm_s16le", video=False, sample_rate=48000)
    data = bytearray(clip.read_bytes())
    at = data.index(b"sowt") + 28
    assert data[at : at + 4] == bytes.fromhex("bb800000")
    data[at : at + 4] = bytes.fromhex("00010000")
    clip.write_bytes(data)
    with pytest.raises(UnreadableMedia, match="no audio of the audio stream could be decoded"):
        list(read_audio(clip, 0.0))


class _Demuxer:
    """Behave like PyAV on a file in which a new stream appears long after its beginning."""

    size = 10_000

    def __init__(self) -> None:
        self.left = list(range(100))

    def demux(self, _streams):
        while self.left:
            number = self.left.pop(0)
            if number % 50 >= 10:
                raise IndexError("list index out of range")
            yield SimpleNamespace(pts=number, size=100, is_discard=False)


def test_packets_of_a_stream_that_is_not_in_the_header_are_skipped():
    found = [packet.pts for packet in packets(_Demuxer())]
    assert found == [*range(10), *range(50, 60)]
