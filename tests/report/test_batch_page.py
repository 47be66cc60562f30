"""The page of many files: the worst first, small, and whole without its script."""

import re

import pytest
from report.page_reader import Page

from avsync.report import write_report
from avsync.report.html import FEW, WITH_IMAGES
from avsync.scoring.result import Fault, Piece, thin_maps

# What a file may add to the page of a batch, in bytes: with images and a clip, and without.
IMAGE_BYTES, BYTES = 120_000, 30_000


@pytest.fixture
def page(tmp_path):
    """`page(results)`: the page, parsed; `page.raw` is its source."""

    def write(results) -> Page:
        write_report(results, tmp_path / "report.html")
        write.raw = (tmp_path / "report.html").read_text(encoding="utf-8")
        return Page(write.raw)

    return write


@pytest.fixture
def make_batch(make_result, make_track):
    """`make_batch(count, file)`: results of every kind, as a batch gives them."""

    def made(count, file="season 1/{}.mp4"):
        results = []
        for number in range(count):
            name, kind = file.format(number), number % 5
            if kind == 0:
                results.append(make_result(None, file=name, reason="no_face"))
            elif kind == 1:
                broken = {"status": "unreadable", "duration_s": None, "reason": "damaged"}
                results.append(make_result(None, file=name, **broken))
            else:
                offset_ms = 5.0 if kind == 2 else (-1) ** number * (70.0 + number)
                tracks = (make_track(offset_ms, end_s=600.0, step_s=0.4),)
                long = make_result(offset_ms, file=name, tracks=tracks, duration_s=600.0)
                results.append(thin_maps(long))
        return results

    return made


def names(page: Page) -> list[str]:
    return page.values("data-name")


def test_rows_are_the_worst_first(page, make_result):
    results = [
        make_result(5.0, file="good.mp4"),
        make_result(None, file="faceless.mp4", reason="no_face"),
        make_result(90.0, file="early.mp4"),
        make_result(38.0, file="near.mp4"),
        make_result(-700.0, file="late.mp4"),
    ]
    read = page(results)
    order = ["late.mp4", "early.mp4", "faceless.mp4", "near.mp4", "good.mp4"]
    assert names(read) == order
    assert read.values("data-worst") == ["1", "2", "3", "4", "5"]


def test_the_whole_is_said_in_words_and_counted(page, make_batch, make_result):
    text = page(make_batch(10)).text
    assert "4 of 10 files are out of tolerance" in text
    for words in ("4 ! out of tolerance", "2 ? cannot tell", "no face was found: 2", "2 ✓ in sync"):
        assert words in text
    assert "All 6 files are in sync" in page([make_result(5.0)] * 6).text
    faceless = make_result(None, reason="no_face")
    assert "No file is known to be out of tolerance" in page([faceless] * 6).text


def test_many_files_are_folded_and_few_are_not(page, make_batch):
    assert "open" not in [name for tag, name, _ in page(make_batch(FEW + 1)).attributes]
    few = [name for tag, name, _ in page(make_batch(FEW)).attributes if tag == "details"]
    assert few.count("open") == FEW


def test_names_are_told_apart_by_their_folders(page, make_result):
    files = ["/a/show/one/master.mp4", "/a/show/two/master.mp4"]
    assert names(page([make_result(5.0, file=file) for file in files])) == [
        "one/master.mp4",
        "two/master.mp4",
    ]
    files = ["one.mp4", "/a/two.mp4"]
    assert names(page([make_result(5.0, file=file) for file in files])) == files


def test_a_file_costs_no_more_than_its_share(page, make_batch):
    count = 60
    page(make_batch(count))
    assert len(page.raw) < 30_000 + count * BYTES


def test_a_file_with_pictures_costs_no_more_than_its_share(page, make_batch, make_clip):
    clip = str(make_clip("clip.mp4", duration_s=4.0, size=(640, 480)))
    results = [result for result in make_batch(10, clip) if result.status == "ok"]
    read = page(results)
    assert 0 < read.tags.count("video") <= 4
    assert len(page.raw) < 30_000 + 4 * IMAGE_BYTES + 2 * BYTES


def test_only_the_worst_have_pictures_and_each_at_most_one_clip(page, make_batch, make_clip):
    clip = str(make_clip("clip.mp4", duration_s=4.0))
    results = make_batch(5 * WITH_IMAGES, clip)
    read = page(results)
    assert 0 < read.tags.count("video") <= WITH_IMAGES


def test_faces_and_shots_of_a_film_do_not_swell_a_row(page, make_result, make_track):
    shots = tuple(make_track(83.2, k, 4.0 * k, 4.0 * k + 4) for k in range(300))
    videos = [thin_maps(make_result(83.2, duration_s=1200.0, tracks=shots))] * (FEW + 1)
    page(videos)
    assert len(page.raw) < 30_000 + len(videos) * BYTES


def test_rows_carry_what_they_are_sorted_and_filtered_by(page, make_result):
    fault = Fault("drift", (Piece(0, 60, 2, 1000),), 1000.0, None, 22.0, 60.0, 62.0)
    drift = make_result(32.0, file="drift.mp4", fault=fault, verdict="audio_leads")
    read = page([drift, make_result(None, file="faceless.mp4", reason="no_face")])
    assert read.values("data-kind") == ["bad", "unsure"]
    assert read.values("data-offset") == ["32.0", ""]
    assert read.values("data-out") == ["22.0", ""]
    assert read.values("data-sure") == ["0.968", ""]
    assert "Audio drifts by +1000 ppm" in read.text


def test_a_hostile_name_stays_a_name(page, make_batch):
    read = page(make_batch(6, '"><script>alert({})</script>\udcff.mp4'))
    assert read.tags.count("script") == 1
    assert any(name.startswith('"><script>alert(') for name in names(read))


def test_the_page_nests_well_and_loads_nothing(page, make_batch):
    read = page(make_batch(10))
    assert read.open == []
    assert read.tags.count("h1") == 1
    assert not re.search(r"https?:|@import|url\((?!#)|//cdn", page.raw)
    ids = read.values("id")
    assert len(ids) == len(set(ids))
    targets = [value[1:] for value in read.values("href") if value.startswith("#")]
    assert set(targets) <= set(ids)
