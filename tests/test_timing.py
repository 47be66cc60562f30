import pytest

from avsync.timing import (
    FRAME_MS,
    PROFILES,
    SAMPLES_PER_FRAME,
    describe_offset,
    exact_div,
    is_borderline,
    judge,
    tolerance,
)


def test_a_frame_is_40_ms_and_640_samples():
    assert (FRAME_MS, SAMPLES_PER_FRAME) == (40, 640)


def test_a_division_with_remainder_is_refused():
    with pytest.raises(ValueError, match="16384 does not divide by 25"):
        exact_div(16384, 25)
    with pytest.raises(ValueError, match="1 does not divide by 0"):
        exact_div(1, 0)


@pytest.mark.parametrize(
    ("name", "early_ms", "late_ms"),
    [
        ("ebu", 40, 60),
        ("itu", 45, 125),
        ("itu-acceptable", 90, 185),
        ("atsc", 15, 45),
        ("film", 22, 22),
    ],
)
def test_profiles_hold_the_values_of_their_recommendations(name, early_ms, late_ms):
    assert tolerance(name)[:3] == (name, early_ms, late_ms)


def test_an_unknown_profile_lists_the_names():
    with pytest.raises(ValueError, match="one of ebu, itu, itu-acceptable, atsc, film, got 'pal'"):
        tolerance("pal")


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_the_limits_themselves_are_in_tolerance(profile):
    assert judge(profile.early_ms, profile) == judge(-profile.late_ms, profile) == "in_sync"


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_positive_means_that_the_audio_leads(profile):
    assert judge(profile.early_ms + 0.1, profile) == "audio_leads"
    assert judge(-profile.late_ms - 0.1, profile) == "audio_lags"


@pytest.mark.parametrize(
    ("interval_ms", "borderline"),
    [((35, 45), True), ((-70, -55), True), ((-70, 70), True), ((0, 39), False), ((50, 60), False)],
)
def test_an_interval_is_borderline_if_its_ends_get_different_verdicts(interval_ms, borderline):
    assert is_borderline(interval_ms, tolerance("ebu")) is borderline


@pytest.mark.parametrize(
    ("offset_ms", "words"),
    [
        (83.2, "audio leads by 83 ms"),
        (-39.7, "audio lags by 40 ms"),
        (0.4, "audio and video together"),
        (-0.4, "audio and video together"),
    ],
)
def test_an_offset_in_words(offset_ms, words):
    assert describe_offset(offset_ms) == words
