"""Who is in a file, from left to right, and when a voice is kept."""

import numpy as np
import pytest

from avsync.pipelines.separate.people import SeenFaces, chosen, people_of
from avsync.scoring.decision import TrackExtent
from avsync.scoring.engine import CroppedTick


def face(number, start_s, end_s, x, width=60):
    return TrackExtent(number, start_s, end_s, (x, 10, x + width, 10 + width))


def people(*faces):
    found, _ = people_of({face.track: face for face in faces})
    return found


def tracks(found):
    return [[track.track for track in person.tracks] for person in found]


def test_people_are_counted_from_the_left():
    found = people(face(0, 0, 9, 500), face(1, 0, 9, 20), face(2, 1, 9, 260))
    assert tracks(found) == [[1], [2], [0]]
    assert [person.number for person in found] == [0, 1, 2]


def test_a_face_after_a_cut_takes_the_nearest_free_place():
    found = people(face(0, 0, 4, 20), face(1, 0, 4, 500), face(2, 4, 8, 450), face(3, 4, 8, 60))
    assert tracks(found) == [[0, 3], [1, 2]]
    assert found[0].seen == ((0, 8),)


def test_a_place_is_left_while_nobody_is_in_it():
    (found,) = people(face(0, 0, 4, 20), face(1, 4.8, 6, 20), face(2, 9, 12, 20))
    assert found.seen == ((0, 6), (9, 12))


def test_faces_in_view_together_are_different_people():
    assert len(people(face(0, 0, 4, 20), face(1, 2, 4, 40))) == 2


@pytest.mark.parametrize(
    ("faces", "reason"),
    [
        ([], "no_face"),
        ([face(0, 0, 9, 20, width=31)], "face_too_small"),
        ([face(0, 0, 0.96, 20)], "too_short"),
        ([face(0, 0, 1, 20, width=32)], None),
    ],
)
def test_who_cannot_be_seen_has_no_voice(faces, reason):
    found, why = people_of({face.track: face for face in faces})
    assert (len(found), why) == (int(reason is None), reason)


def test_people_are_chosen_by_side_or_number():
    three = people(face(0, 0, 9, 20), face(1, 0, 9, 220), face(2, 0, 9, 420))
    numbers = {w: [p.number for p in chosen(three, w)] for w in ("all", "left", "right", "1", "3")}
    assert numbers == {"all": [0, 1, 2], "left": [0], "right": [2], "1": [1], "3": []}


@pytest.mark.parametrize("word", ["middle", "", "-1", "1.5", "²"])
def test_any_other_word_is_refused(word):
    with pytest.raises(ValueError, match="who must be all, left, right or a number from 0, got"):
        chosen([], word)


def seen_over(ticks, first, count, seen=((0.0, 100.0),), duration_s=100.0):
    """What a face of crops `number` x 1 pixel looks like, and when it is kept, frame by frame."""
    (person,) = people(*(face(k, start, end, 20) for k, (start, end) in enumerate(seen)))
    crops = [CroppedTick(n, {0: np.full((1, 1, 3), n, np.uint8)}) for n in ticks]
    (found,) = SeenFaces([person], crops, duration_s).over(first, count, count, 25)
    return found if found is None else (found.frames[:, 0, 0, 0].tolist(), found.kept.tolist())


def test_frames_are_those_of_their_ticks():
    frames, kept = seen_over(range(100), 30, 5)
    assert (frames, kept) == ([30, 31, 32, 33, 34], [1] * 5)


def test_where_a_face_is_lost_it_looks_as_at_the_nearest_moment():
    frames, _ = seen_over([0, 1, 7, 8], 0, 12)
    assert frames == [0, 1, 1, 1, 1, 7, 7, 7, 8, 8, 8, 8]


def test_a_voice_fades_where_its_face_leaves_and_comes_again():
    _, kept = seen_over(range(200), 50, 50, seen=((0, 2.4), (3.6, 8)))
    assert kept[:11] == [1] * 11
    np.testing.assert_allclose(kept[11:15], [0.8, 0.6, 0.4, 0.2], atol=1e-6)
    assert not any(kept[15:36])
    np.testing.assert_allclose(kept[36:40], [0.2, 0.4, 0.6, 0.8], atol=1e-6)


def test_sound_beyond_the_first_and_the_last_picture_is_kept_for_a_second():
    (person,) = people(face(0, 0.2, 3.9, 20))
    ticks = [CroppedTick(n, {0: np.zeros((1, 1, 3), np.uint8)}) for n in range(5, 98)]
    (found,) = SeenFaces([person], ticks, 4.0).over(-25, 200, 200, 25)
    assert (np.flatnonzero(found.kept == 1) / 25 - 1)[[0, -1]].tolist() == [-0.8, 4.88]


def test_a_chunk_without_the_face_is_none():
    assert seen_over(range(50), 60, 50, seen=((0, 2),), duration_s=4.4) is None
