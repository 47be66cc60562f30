import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from report.page_reader import Page

from avsync.report import html as page_module
from avsync.report import write_report
from avsync.scoring.result import TimelinePoint

LOADERS = {"src", "href", "srcset", "poster", "data", "action", "xlink:href"}


@pytest.fixture
def report(tmp_path):
    """`report(results)`: the page, parsed; `report.raw` is its source."""

    def write(results) -> Page:
        write_report(results, tmp_path / "report.html")
        write.raw = (tmp_path / "report.html").read_text(encoding="utf-8")
        return Page(write.raw)

    return write


@pytest.mark.parametrize(
    ("offset_ms", "headline"),
    [(83.2, "Audio leads by 83 ms"), (-310.4, "Audio lags by 310 ms"), (12.0, "In sync")],
)
def test_the_verdict_is_said_in_words(report, make_result, offset_ms, headline):
    page = report(make_result(offset_ms))
    title = unescape(re.search("<title>(.*)</title>", report.raw)[1])
    assert title == f"{headline}: clip.mp4"
    assert headline in page.text


def test_the_repair_goes_the_right_way(report, make_result):
    leads, lags = report(make_result(83.2)).text, report(make_result(-310.4)).text
    assert "Delay the audio by 83 ms" in leads
    assert "comes before the lips move" in leads
    assert "Advance the audio by 310 ms" in lags
    assert "comes after the lips move" in lags


def test_the_numbers_are_those_of_the_result(report, make_result):
    minus = "\N{MINUS SIGN}"
    text = report(make_result(-83.2)).text
    assert f"Offset {minus}83.2 ms" in text
    assert f"Interval {minus}90.3 to {minus}76.8 ms" in text
    assert "Confidence 0.97" in text
    assert f"In frames {minus}2.1 at 25 fps" in text
    assert "1:00.0 long" in text


def test_every_moment_stands_in_the_table(report, make_result, make_track):
    track = make_track(83.2)
    points = (TimelinePoint(7.25, -123.4, 0.77), *track.timeline[8:])
    page = report(make_result(83.2, tracks=(replace(track, timeline=points),)))
    assert "0:07.2 \N{MINUS SIGN}123.4 0.77" in page.text


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("no_face", "a face must be in view"),
        ("face_too_small", "32 pixels"),
        ("too_short", "Check a longer part"),
        ("silence", "Play the file and listen"),
        ("still_lips", "Someone else may be talking"),
        ("no_match", "dubbing"),
        ("out_of_range", "Search wider"),
    ],
)
def test_no_answer_says_why_and_what_to_try(report, make_result, reason, words):
    text = report(make_result(None, reason=reason, detail="because of the moon")).text
    assert "Cannot tell" in text
    assert "Because of the moon." in text
    assert words in text


@pytest.mark.parametrize("reason", ["damaged", "no_video_stream", "no_audio_stream"])
def test_an_unreadable_file_gets_its_page(report, make_result, reason):
    result = make_result(None, status="unreadable", reason=reason, duration_s=None)
    assert "Unreadable" in report(result).text


def test_a_wider_search_is_offered_where_it_may_help(report, make_result):
    page = report(make_result(None, reason="out_of_range", search_s=1.5))
    assert "avsync check gone/clip.mp4 --search 4.5" in page.text
    assert "--search" not in report(make_result(None, reason="no_face")).text


def test_no_search_is_offered_that_check_would_refuse(report, make_result):
    assert "--search 5" in report(make_result(None, reason="no_match", search_s=2.0)).text
    assert "--search" not in report(make_result(None, reason="no_match", search_s=5.0)).text


def test_borderline_is_said(report, make_result):
    assert "Borderline" in report(make_result(36.0)).text
    assert "Borderline" not in report(make_result(83.2)).text


def test_a_zero_that_makes_a_verdict_doubtful_is_said(report, make_result):
    text = report(make_result(4.0, profile="atsc", zero_uncertainty_ms=16.0)).text
    assert "not with the 16 ms to which the model's zero is known" in text
    assert "The model's zero itself is known to 16 ms either way; with it, -14 to +21 ms" in text
    certain = report(make_result(4.0, zero_uncertainty_ms=16.0, source_spread_ms=99.0)).text
    assert "Nothing needs repair" in certain
    assert "nobody moved, nine of ten lie within 99 ms of it" in certain
    assert "zero itself" not in report(make_result(4.0)).text


def test_the_profile_decides(report, make_result):
    assert "ITU-R BT.1359 acceptability tolerates audio up to 90 ms early" in (
        report(make_result(83.2, profile="itu-acceptable")).text
    )


def test_a_repair_that_would_be_refused_is_said(report, make_result, make_track):
    track = make_track(50.0)
    points = tuple(replace(p, offset_ms=6 * p.t_s - 130) for p in track.timeline)
    moving = report(make_result(50.0, tracks=(replace(track, timeline=points),))).text
    assert "the offset is not constant" in moving
    assert "--force" in moving
    assert "From the first third to the last, the offset moves by +240 ms" in moving
    assert "--force" not in report(make_result(50.0)).text
    unsure = report(make_result(83.2, confidence=0.41)).text
    assert "known with a confidence of 0.41" in unsure
    assert "--force" in unsure


def test_the_command_is_ready_to_paste(report, make_result):
    page = report(make_result(83.2, file="-my videos/it's.mov"))
    quoted = """'./-my videos/it'"'"'s.mov'"""
    assert f"avsync fix {quoted} -o " in page.text
    assert "avsync fix" not in report(make_result(5.0)).text


def test_a_hostile_name_stays_text(report, make_result):
    name = """x"><img src=x onerror=alert(1)>'</title><script>alert(2)</script>{{ 7 * 7 }}.mp4"""
    hostile = make_result(83.2, file=name, detail=name, model=name)
    page = report([hostile, make_result(None, reason="no_face", file=name, detail=name)])
    assert "img" not in page.tags
    assert page.tags.count("script") == 1
    assert not page.values("onerror")
    assert "<script>alert(2)" in page.text
    assert "{{ 7 * 7 }}" in page.text


def test_a_name_with_stray_bytes_is_written(report, make_result):
    page = report(make_result(83.2, file="a\udcff\n\x1b[31m.mp4"))
    assert "a\\udcff\\n\\x1b[31m.mp4" in page.text
    assert "avsync fix" not in page.text


def test_the_page_loads_nothing(report, make_result, make_track):
    page = report([make_result(83.2), make_result(None, reason="no_face")])
    for tag, name, value in page.attributes:
        assert name not in LOADERS or value.startswith(("data:", "#")), (tag, name, value[:80])
    assert not re.search(r"https?:|@import|url\((?!#)|//cdn", report.raw)
    assert "link" not in page.tags


def test_the_page_nests_well_and_every_image_has_words(report, make_result):
    page = report(make_result(83.2))
    assert page.open == []
    assert page.tags.count("h1") == 1
    drawings = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "role")]
    assert len(drawings) == len(page.values("aria-label")) == 3


def test_ids_are_unique_and_links_lead_somewhere(report, make_result):
    page = report([make_result(83.2), make_result(-90.0), make_result(83.2)])
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    targets = [value[1:] for value in page.values("href") if value.startswith("#")]
    assert set(targets) <= set(ids)
    assert {"file-1", "file-2", "file-3"} <= set(ids)


def test_an_hour_of_moments_stays_small(report, make_result, make_track):
    hour = make_result(83.2, duration_s=3600.0, tracks=(make_track(83.2, end_s=3600.0),))
    report(hour)
    assert len(report.raw) < 400_000


def test_a_video_of_shots_stays_small(report, make_result, make_track):
    shots = tuple(make_track(83.2, k, 4.0 * k, 4.0 * k + 4) for k in range(300))
    page = report(make_result(83.2, duration_s=1200.0, tracks=shots))
    assert len(report.raw) < 400_000
    assert "300 faces, one after another" in page.text
    assert "and 100 more" in page.text


def test_a_missing_file_is_said(report, make_result):
    assert "Images are left out: the file was not found" in report(make_result(83.2)).text


def test_images_come_from_the_file(report, make_result, make_track, make_clip):
    clip = make_clip("clip.mp4", duration_s=2.0)
    track = make_track(83.2, end_s=2.0, step_s=0.5)
    page = report(make_result(83.2, file=str(clip), duration_s=2.0, tracks=(track,)))
    images = [value for value in page.values("poster") if value.startswith("data:image/jpeg")]
    assert len(images) == len(track.timeline) == page.tags.count("video")
    assert all(value.startswith("data:video/mp4") for value in page.values("src"))
    assert "furthest from sync" in page.text
    told = [words for words in page.values("aria-label") if words.startswith("The face at")]
    assert len(told) == len(images)
    assert all("audio leads by 83 ms" in words for words in told)


def test_a_page_without_a_face_shows_what_was_looked_at(report, make_result, make_clip):
    clip = make_clip("clip.mp4", duration_s=2.0)
    page = report(make_result(None, reason="no_face", file=str(clip), duration_s=2.0))
    assert page.tags.count("img") == 5


def test_a_file_that_is_no_video_gets_its_page(report, make_result, tmp_path):
    (tmp_path / "text.mp4").write_text("not a video")
    page = report(make_result(83.2, file=str(tmp_path / "text.mp4")))
    assert "Images are left out: not a media file" in page.text


def test_two_faces_are_kept_apart(report, make_result, make_track):
    tracks = (make_track(83.2, 3, 0, 40), make_track(None, 4, 10, 60, reason="still_lips"))
    text = report(make_result(83.2, tracks=tracks)).text
    assert "Face 3, 0:00 to 0:40" in text
    assert "Face 4, 0:10 to 1:00" in text
    assert "Cannot tell: the lips do not move" in text


def test_an_old_page_survives_a_failure(tmp_path, make_result, monkeypatch):
    path = tmp_path / "report.html"
    write_report(make_result(83.2), path)
    before = path.read_text(encoding="utf-8")

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", die)
    with pytest.raises(KeyboardInterrupt):
        write_report(make_result(-90.0), path)
    monkeypatch.undo()
    assert path.read_text(encoding="utf-8") == before
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_to_report_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one CheckResult"):
        write_report([], tmp_path / "report.html")


def test_the_page_is_part_of_the_package():
    folder = Path(page_module.__file__).parent
    assert {"page.html.j2", "batch.html.j2", "page.css", "page.js", "batch.css", "batch.js"} <= {
        path.name for path in folder.iterdir()
    }
