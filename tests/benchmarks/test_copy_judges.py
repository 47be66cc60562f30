"""The judges of copies find what is wrong with a copy that was changed on purpose."""

import copy

import pytest

from avsync.media.writers.remux import shift_audio
from benchmarks.media.copy_cases import CASES, make
from benchmarks.media.copy_judges import (
    complaints,
    losses,
    missing_tools,
    offset_ms,
    structure_complaints,
)
from benchmarks.media.stream_diff import is_named, judge

pytestmark = pytest.mark.skipif(bool(missing_tools()), reason="ffmpeg or mkvinfo is missing")

PROBED = {
    "streams": [
        {
            "index": 0,
            "codec_type": "video",
            "codec_name": "hevc",
            "codec_tag_string": "hvc1",
            "color_transfer": "smpte2084",
            "disposition": {"default": 1, "forced": 1},
            "tags": {"language": "deu", "title": "Main"},
            "side_data_list": [{"side_data_type": "Display Matrix", "rotation": -90}],
            "nb_read_packets": "10",
        },
        {
            "index": 1,
            "codec_type": "data",
            "codec_tag_string": "tmcd",
            "disposition": {},
            "tags": {"timecode": "10:00:00:00"},
            "nb_read_packets": "1",
        },
    ],
    "format": {"format_name": "mov,mp4,m4a,3gp,3g2,mj2", "tags": {"title": "A"}},
    "chapters": [{"tags": {"title": "One"}}],
    "programs": [{}, {}],
}


@pytest.mark.parametrize(
    ("change", "loss"),
    [
        (lambda f: f["streams"].pop(0), "video (stream 0)"),
        (lambda f: f["streams"].pop(1), "timecode 10:00:00:00"),
        (lambda f: f["streams"][0].update(codec_tag_string="hev1"),
         "video (stream 0): codec_tag_string is hev1, was hvc1"),
        (lambda f: f["streams"][0].pop("color_transfer"),
         "video (stream 0): color_transfer is None, was smpte2084"),
        (lambda f: f["streams"][0]["disposition"].pop("forced"),
         "video (stream 0): disposition forced"),
        (lambda f: f["streams"][0]["tags"].update(language="fra"),
         "video (stream 0): tag language"),
        (lambda f: f["streams"][0].pop("side_data_list"),
         "video (stream 0): side data Display Matrix"),
        (lambda f: f["streams"][0].update(nb_read_packets="9"),
         "video (stream 0): 1 of 10 packets"),
        (lambda f: f["format"].update(tags={}), "tag title"),
        (lambda f: f["chapters"].clear(), "chapters"),
        (lambda f: f["programs"].pop(), "programs"),
    ],
)  # fmt: skip
def test_every_loss_is_found(change, loss):
    assert losses(PROBED, PROBED, 0.0) == []
    changed = copy.deepcopy(PROBED)
    change(changed)
    assert losses(PROBED, changed, 0.0) == [loss]


def test_a_loss_is_named_by_its_stream_and_kind():
    assert is_named("tag com.android.version", ("metadata: title, com.android.version",))
    assert is_named("video (stream 0): tag language", ("language deu (stream 0)",))
    assert not is_named("video (stream 0): tag language", ("language deu (stream 1)",))
    assert not is_named("chapters", ())


@pytest.mark.slow
@pytest.mark.parametrize("source", [".mp4", ".mkv"])
def test_a_wrong_offset_and_a_damaged_file_are_found(tmp_path, source):
    case = next(c for c in CASES if c.name == "two languages" and c.source == source)
    clip, new = make(case, tmp_path), tmp_path / f"new{source}"
    left_out = shift_audio(clip, new, {0: 120.0, 1: 120.0})
    assert judge(case, clip, new, {0: 120.0, 1: 120.0}, left_out) == []
    assert offset_ms(clip, new, 1) == pytest.approx(120, abs=1)
    wrong = judge(case, clip, new, {0: 120.0, 1: 118.0}, left_out)
    assert len(wrong) == 1 and wrong[0].startswith("audio 1 is shifted by 1")
    whole = new.read_bytes()
    middle = len(whole) // 3
    new.write_bytes(whole[:middle] + bytes(40_000) + whole[middle + 40_000 :])
    assert complaints(new) - complaints(clip)
    new.write_bytes(whole[: 2 * middle])
    assert structure_complaints(new) - structure_complaints(clip)


@pytest.mark.slow
def test_a_damaged_structure_in_a_complete_file_is_found(make_clip):
    clip = make_clip("clip.mkv", duration_s=12.0)
    assert structure_complaints(clip) == set()
    content = bytearray(clip.read_bytes())
    cluster = content.rindex(b"\x1f\x43\xb6\x75")
    content[cluster : cluster + 4] = b"\x55" * 4
    clip.write_bytes(content)
    assert any(
        "Error in the Matroska file structure" in fault for fault in structure_complaints(clip)
    )
