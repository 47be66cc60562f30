import math

import numpy as np
import pytest
from pipelines.red_detector import FACE_POINTS, RedDetector
from pipelines.videos import FRAMES, red, write_video

from avsync.faces.crops import cut_mouth
from avsync.faces.detector import find_detector
from avsync.media.audio_reader import read_audio
from avsync.media.container import UnreadableMedia
from avsync.pipelines.check.check_file import load_model
from avsync.pipelines.evaluate.talking_metrics import sync_figures
from avsync.pipelines.evaluate.video_pairs import VideoMismatch, crop_video_pair
from avsync.tasks.input_spec import ClipSpec

MOUTH = ClipSpec("mouth", 48, 48, 5, 0.0, 0.2)


@pytest.fixture
def true(tmp_path):
    return write_video(tmp_path / "true.mkv", red())


def judged(made, true=None):
    return crop_video_pair(made, true, [MOUTH], RedDetector())


def test_a_video_beside_itself_is_identical(true):
    clip = judged(true, true)
    assert clip.likeness.psnr == math.inf and clip.likeness.ssim == pytest.approx(1)
    assert (clip.start_s, clip.end_s, clip.source) == (0.0, FRAMES / 25, "true.mkv")


def test_a_known_difference_of_the_lower_half_has_its_decibels(true, tmp_path):
    frames = red()
    frames[:, 36:, :, 2] += 102
    clip = judged(write_video(tmp_path / "made.mkv", frames), true)
    # One channel of three is off by 0.4, from some pixels below the middle of the face on.
    full = -10 * math.log10(0.4**2 / 3)
    assert full < clip.likeness.psnr < full + 0.8
    frames = red()
    frames[:, :28, :, 2] += 102
    clip = judged(write_video(tmp_path / "upper.mkv", frames), true)
    assert clip.likeness.psnr > 50


def test_crops_and_audio_are_those_of_the_generated_video_at_the_true_face(true, tmp_path):
    made = red(seed=1)
    # Of a face that no detector would find.
    made[:, :40] = made[:, :40, :, ::-1]
    path = write_video(tmp_path / "made.mkv", made)
    clip = judged(path, true)
    crops = clip.crops(MOUTH)
    points = FACE_POINTS * (96, 64)
    assert crops.shape == (FRAMES, 48, 48, 3)
    expected = cut_mouth(made[9], points, 48).astype(int)
    assert np.abs(crops[9] - expected).mean() < 2
    assert np.array_equal(clip.wav, np.concatenate(list(read_audio(path, 0.0))))


def test_without_a_true_video_there_is_no_likeness(true):
    clip = judged(true)
    assert clip.likeness is None and len(clip.crops(MOUTH)) == FRAMES


def test_videos_of_two_rates_and_containers_clocks_are_matched_by_time(tmp_path):
    # 30 frames a second, and the same at 29.97: every tick of 25 a second shows the same one.
    frames = red()
    one = write_video(tmp_path / "one.mkv", frames, fps=30)
    other = write_video(tmp_path / "other.mkv", frames, times_s=np.arange(FRAMES) * 1.001 / 30)
    assert judged(other, one).likeness.psnr > 30


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"fps": 50}, r"it has 50\.00 frames a second, the true one 25\.00"),
        ({"frames": 20}, r"the true one goes on for 0\.40 s when it has ended, after 0\.80 s"),
        ({"frames": 40}, r"it goes on for 0\.40 s when the true one has ended, after 1\.20 s"),
        ({"size": (64, 96)}, "it is 64x96 pixels, the true one 96x64"),
        ({"audio": False}, "the file has no audio"),
        ({"green": True}, "no face found"),
    ],
)
def test_a_mismatch_is_reported(true, tmp_path, options, cause):
    frames = red(options.get("frames", FRAMES), options.get("size", (96, 64)))
    times_s = np.arange(len(frames)) / options.get("fps", 25)
    path = tmp_path / "made.mkv"
    if options.get("green"):
        frames = frames[..., [1, 0, 2]]
    made = write_video(path, frames, times_s=times_s, with_audio=options.get("audio", True))
    with pytest.raises((VideoMismatch, UnreadableMedia), match=cause):
        judged(made, None if options.get("green") else true)


def test_a_frame_more_at_the_end_does_no_harm(true, tmp_path):
    made = write_video(tmp_path / "made.mkv", red(FRAMES + 1))
    assert len(judged(made, true).wav) == 640 * FRAMES


def test_frames_missing_at_different_times_are_a_mismatch(tmp_path):
    # Both stand still for a second, the one later than the other.
    videos = []
    for index in (10, 20):
        times_s = np.arange(FRAMES) / 25 + (np.arange(FRAMES) >= index)
        videos.append(write_video(tmp_path / f"{index}.mkv", red(), times_s=times_s))
    with pytest.raises(VideoMismatch, match="its frames do not come when the true ones do"):
        judged(*videos)


@pytest.mark.real_data
def test_a_real_speaker_matches_the_audio_at_offset_0_only(shared):
    video = sorted((shared / "data" / "grid_s1").glob("*.mkv"))[0]
    model = load_model("dense_sync")
    clip = crop_video_pair(video, video, [model.spec], find_detector())
    assert clip.likeness.psnr == math.inf and len(clip.wav) > 60 * 640
    found = sync_figures(model, clip.crops(model.spec), clip.wav)
    assert abs(found.offset_frames) <= 1 and found.in_place_better
    away = sync_figures(model, clip.crops(model.spec), np.roll(clip.wav, 9 * 640))
    assert abs(away.offset_frames + 9) <= 1 and not away.in_place_better
