"""Zeros of sources are measured correctly on lips and speech with a known offset."""

import numpy as np
import pytest

from avsync.timing import SAMPLE_RATE
from benchmarks.sync import closure_matching, plosive_zeros
from benchmarks.sync.people_tables import Person

CLIPS, SECONDS = 12, 6
# Time for which the mouth opens or closes.
MOVE_MS = 60.0


def made_clip(seed: int, lead_ms: float = 0.0, closures: bool = True) -> plosive_zeros.MeasuredClip:
    """Make lips that close for 80 ms now and then, and speech that is silent then.

    As many other gaps are in the speech while the mouth is open, as of /t/ and /k/.
    """
    rng = np.random.default_rng(seed)
    times_ms = np.cumsum(rng.uniform(180, 320, 40)) + 100
    times_ms = times_ms[times_ms < 1000 * SECONDS - 200]
    by_lips = rng.permutation(len(times_ms)) % 2 == 0
    frames_ms = (np.arange(25 * SECONDS) + 0.5) * 40
    gap = np.ones(len(frames_ms))
    for start_ms in times_ms[by_lips] if closures else []:
        away_ms = np.maximum(abs(frames_ms - start_ms - 40) - 40, 0)
        gap = np.minimum(gap, np.clip(away_ms / MOVE_MS, 0, 1))
    gap = gap + 0.01 * rng.random(len(gap))
    wav = 0.3 * rng.standard_normal(SECONDS * SAMPLE_RATE)
    for start_ms in times_ms:
        silent = [round((start_ms - lead_ms + t) * SAMPLE_RATE / 1000) for t in (0, 80)]
        wav[slice(*silent)] *= 0.001
    return plosive_zeros.MeasuredClip(str(seed), "made", str(seed), gap, wav)


def evidence_of(lead_ms: float = 0.0, count: int = CLIPS, **options: bool):
    return [made_clip(seed, lead_ms, **options).evidence() for seed in range(count)]


@pytest.mark.parametrize("lead_ms", [-90.0, -7.0, 0.0, 23.0, 120.0])
def test_the_offset_is_found_far_inside_a_frame(lead_ms):
    found = plosive_zeros.estimate(evidence_of(lead_ms))
    assert found["zero_ms"] == pytest.approx(lead_ms, abs=4)
    low, high = found["interval_ms"]
    assert low <= lead_ms <= high
    assert high - low > 1.9 * plosive_zeros.SYSTEMATIC_MS


@pytest.mark.parametrize("lead_ms", [-60.0, 0.0, 35.0])
def test_movements_give_the_same_offset(lead_ms):
    found = plosive_zeros.estimate(evidence_of(lead_ms), "movement")
    assert found["zero_ms"] == pytest.approx(lead_ms, abs=6)


def test_a_threshold_above_closed_lips_shifts_both_edges_but_not_their_sum():
    clips = [made_clip(seed).evidence(share=0.35) for seed in range(CLIPS)]
    parting, closing, both = (
        closure_matching.offset_of(plosive_zeros.sum_of(clips, kind))
        for kind in ("parting", "closing", "both")
    )
    assert parting > 10  # Lips part late: the audio seems to lead.
    assert closing < -10
    assert abs(both) < 4


def test_lips_that_never_close_are_no_evidence():
    assert sum(clip.closures for clip in evidence_of(closures=False)) == 0


def test_speech_that_has_nothing_to_do_with_the_lips_gives_a_wide_interval():
    clips = []
    for seed in range(CLIPS):
        lips, speech = made_clip(seed), made_clip(100 + seed)
        clips.append(lips._replace(wav=speech.wav).evidence())
    low, high = plosive_zeros.estimate(clips)["interval_ms"]
    assert high - low > plosive_zeros.CLEAR_MS


def test_closures_are_located_between_frames():
    gap = np.array([1, 1, 1, 0.5, 0, 0, 0.5, 1, 1, 1.0])
    (closure,) = closure_matching.find_lip_closures(gap)
    # A quarter open: half way between frames 3 and 4, and between frames 5 and 6.
    assert closure == pytest.approx((4.0 * 40, 6.0 * 40))


def test_a_mouth_that_stays_closed_is_a_pause():
    gap = np.concatenate([np.ones(10), np.zeros(10), np.ones(10)])
    wav = np.random.default_rng(0).standard_normal(len(gap) * 640)
    assert len(closure_matching.find_lip_closures(gap)) == 1
    assert closure_matching.gather_evidence("a", "a", gap, wav).closures == 0


def test_a_person_with_an_offset_of_their_own_widens_the_interval():
    """Clips of two people, 60 ms apart: that each has many clips makes nothing more certain."""
    clips = [
        made_clip(seed, lead_ms).evidence()._replace(person=person)
        for person, lead_ms in (("a", 0.0), ("b", 60.0))
        for seed in range(CLIPS)
    ]
    evidence = np.array([clip.both for clip in clips])
    people = closure_matching.bootstrap_offsets(evidence, [c.person for c in clips], 40, 0)
    assert np.ptp(people) > 40
    assert any(abs(people) < 5)
    assert any(abs(people - 60) < 5)


def test_audio_is_moved_by_the_stated_time():
    clip = made_clip(0)
    for lead_ms in (-40, 0, 25):
        moved, samples = plosive_zeros.moved_audio(clip, lead_ms), 16 * lead_ms
        assert moved.wav[5000] == clip.wav[5000 + samples]
        assert len(moved.wav) == len(clip.wav)


def test_what_a_model_answered_is_removed():
    clips = [made_clip(seed, 50.0)._replace(model_ms=30.0) for seed in range(CLIPS)]
    zero = plosive_zeros.moved_by_model(clips)
    assert zero["zero_ms"] == pytest.approx(20, abs=4)


def test_a_source_is_a_page_and_its_corpus():
    person = Person("page__a__0.mkv", "lrs3:a", "B", None)
    assert plosive_zeros.source_of(person.file, person, "people") == "page/lrs3"
    assert plosive_zeros.source_of("bbaf2n.mkv", None, "grid_s1") == "grid_s1"


def test_rendered_clips_have_an_offset_within_the_systematic_part():
    clips = [clip.evidence() for clip in plosive_zeros.rendered_clips(6)]
    found = plosive_zeros.estimate([clip for clip in clips if clip.closures])
    assert found["interval_ms"][0] <= 0 <= found["interval_ms"][1]
