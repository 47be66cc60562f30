"""The page of a separation: its drawings are true, and it needs nothing but itself."""

import re
from dataclasses import replace

import numpy as np
import pytest

from avsync.media.writers.wav_writer import WavWriter
from avsync.pipelines.separate.result import SeparatedVoice, SeparationResult
from avsync.report.separation import (
    COLOURS,
    EXCERPT_S,
    HEIGHT,
    TOP_HZ,
    WIDTH,
    loudness_image,
    power,
    share_image,
    write_separation_report,
)

RATE = 16000


def tone(hz, seconds=1.0, rate=RATE):
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def level(image):
    """Where on the ramp of colours each pixel is, 0 to 1."""
    known, order = np.unique(code(COLOURS), return_index=True)
    found = np.searchsorted(known, code(image))
    np.testing.assert_array_equal(known[found], code(image))
    return order[found] / 255


def code(colours):
    return colours.astype(np.int64) @ [65536, 256, 1]


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_a_tone_is_a_bright_line_at_its_frequency(rate):
    spectrum = power(tone(3000, rate=rate), rate)
    levels = level(loudness_image(spectrum, spectrum.max()))
    assert levels.shape == (HEIGHT, WIDTH)
    row = levels[:, 50:-50].mean(1).argmax()
    assert (HEIGHT - row - 0.5) / HEIGHT * TOP_HZ == pytest.approx(3000, abs=60)
    assert levels[row, 100:-100].min() > 0.8 > 0.2 > np.median(levels)


def test_audio_is_drawn_when_it_is_audible():
    spectrum = power(np.concatenate([np.zeros(RATE), tone(1000)]), RATE)
    loud = level(loudness_image(spectrum, spectrum.max())).max(0)
    assert loud[: WIDTH // 2 - 20].max() < 0.1
    assert loud[WIDTH // 2 + 20 : -20].min() > 0.8


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_mask_is_the_share_of_the_amplitude(share):
    mixture = power(np.random.default_rng(0).normal(size=RATE), RATE)
    levels = level(share_image(share**2 * mixture, mixture))
    # Noise has moments of silence too.
    assert (abs(levels - share) < 0.02).mean() > 0.9999


def test_where_nothing_is_audible_no_voice_has_a_share():
    mixture = power(np.concatenate([np.zeros(RATE), tone(1000)]), RATE)
    assert level(share_image(mixture, mixture))[:, : WIDTH // 2 - 20].max() == 0


@pytest.fixture
def result(tmp_path):
    """A separation of 20 s whose voices are loudest from 5 s to 17 s."""
    swell = np.zeros(20 * RATE)
    swell[5 * RATE : 17 * RATE] = 1
    waves = {"voice_0.wav": 440, "voice_1.wav": 880, "rest.wav": 200}
    for name, hz in waves.items():
        gain = swell + 0.1 if name != "rest.wav" else 1
        with WavWriter(tmp_path / name, RATE, "mono") as file:
            file.write((gain * tone(hz, 20)).astype(np.float32)[None])
    voices = tuple(
        SeparatedVoice(number, f"voice_{number}.wav", None, -3.0, (1, 2, 3, 4), ((0.0, 20.0),))
        for number in (0, 1)
    )
    return SeparationResult(
        *(str(tmp_path / "gone <b>.mp4"), str(tmp_path), "ok", None, "", "all", "ynet_v", voices),
        rest="rest.wav", faces=2, sample_rate=RATE, channels=1, start_s=0.0, duration_s=20.0,
    )  # fmt: skip


@pytest.fixture
def page(result, tmp_path):
    write_separation_report(result, tmp_path / "page.html")
    return (tmp_path / "page.html").read_text("utf-8")


def test_every_audio_can_be_played_and_every_voice_has_its_mask(page):
    titles = re.findall(r'<h2 class="label" id="part-\d">(.*?)</h2>', page)
    assert titles == ["The audio of the file", "Voice 0, left", "Voice 1, right", "The rest"]
    assert page.count("<audio controls") == 4
    assert page.count('alt="Mask: ') == 2
    assert page.count('alt="Spectrogram: ') == 4


def test_it_loads_nothing(page):
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert sources and all(source.startswith(("data:", "#")) for source in sources)


def test_what_is_shown_is_where_the_voices_are_audible(page):
    assert f"{EXCERPT_S} seconds from 0:05.0 on" in page


def test_names_are_text_and_a_file_that_is_gone_has_no_image(page):
    assert "gone &lt;b&gt;.mp4" in page and "<b>.mp4" not in page
    assert 'class="who"' not in page


def test_a_short_file_is_shown_whole(result, tmp_path):
    for name in ("voice_0.wav", "voice_1.wav", "rest.wav"):
        with WavWriter(tmp_path / name, RATE, "stereo") as file:
            file.write(np.tile(tone(300, 0.5), (2, 1)).astype(np.float32))
    write_separation_report(replace(result, duration_s=0.5), tmp_path / "page.html")
    assert "All of it is drawn and played here" in (tmp_path / "page.html").read_text("utf-8")


def test_what_was_not_separated_has_no_page(result, tmp_path):
    none = replace(result, status="cannot_tell", detail="no face found")
    with pytest.raises(ValueError, match="of a file that was separated, got no face found"):
        write_separation_report(none, tmp_path / "page.html")
