"""The ablation of face_sync: its speech tokens, its windows, its batches and its table."""

import numpy as np
import pytest
import torch

from avsync.data.cache.mouths import MouthCache
from avsync.data.sampling.crops import crops_for
from avsync.encoders.pretrained.whisper import (
    LocalWhisperEncoder,
    WhisperEncoder,
    WhisperLayer,
    load_whisper_encoder,
)
from avsync.evaluation.score_matrix import score_clip_band
from avsync.tasks.registry import create_model
from benchmarks.sync import face_sync_ablation
from benchmarks.sync.cached_windows import CachedSource, band_of, cached_clips, measure
from benchmarks.sync.face_sync_ablation import ARMS, ROWS, KeptBatches, summary, table
from benchmarks.sync.face_sync_variants import new_model, without
from benchmarks.sync.speech_tokens import (
    LayerTokens,
    MelTokens,
    SpeechTokens,
    StemTokens,
    load_one_layer,
)

CONTEXT, POSITION = 4, 7


def second_layer(seed=0):
    torch.manual_seed(seed)
    first = LocalWhisperEncoder(WhisperEncoder(dim=24, heads=2), CONTEXT, POSITION)
    return LayerTokens(first, WhisperLayer(24, 2)).eval()


# Neighbours that see a click at a token's centre: mel columns reach 280 samples of the 320 to the
# next token, the stem 520, and each of two layers 4 tokens more.
KINDS = {
    "mel": (MelTokens, 0),
    "stem": (lambda: StemTokens(load_whisper_encoder()), 1),
    "two layers": (second_layer, 9),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_sees_as_much_audio_before_its_centre_as_after_it(kind):
    make, reach = KINDS[kind]
    tokens = SpeechTokens(make()).eval()
    wav = torch.zeros(1, 2 * tokens.margin_samples + 40 * 320)
    with torch.no_grad():
        silence = tokens(wav)
        assert silence.shape[1] == 41
        wav[0, tokens.margin_samples + 20 * 320] = 1
        changed = (tokens(wav) != silence).any(-1)[0].nonzero()[:, 0]
    assert changed.tolist() == list(range(20 - reach, 20 + reach + 1))


def test_a_click_is_equally_loud_in_both_columns_of_its_token():
    tokens = SpeechTokens(MelTokens())
    wav = torch.zeros(1, 2 * tokens.margin_samples)
    wav[0, tokens.margin_samples] = 1
    before, after = tokens(wav)[0, 0].unflatten(0, (80, 2)).T
    # The Hann window is symmetric about its middle, which lies 80 samples before and after.
    torch.testing.assert_close(before, after, atol=1e-5, rtol=0)


def test_whitened_columns_have_unit_variance_and_no_correlation():
    mel, wav = MelTokens(), torch.randn(2, 16_000 * 20, generator=torch.Generator().manual_seed(0))
    mel.fit(wav)
    columns = mel(wav).flatten(0, 1).double()
    torch.testing.assert_close(columns.mean(0), torch.zeros(160).double(), atol=2e-3, rtol=0)
    torch.testing.assert_close(columns.T.cov(), torch.eye(160).double(), atol=2e-3, rtol=0)


def test_the_shipped_layer_is_the_one_of_face_sync():
    tokens, model = SpeechTokens(load_one_layer()), create_model("face_sync")
    wav = torch.randn(1, 70_000, generator=torch.Generator().manual_seed(0))
    whisper = model.whisper.on(torch.device("cpu"))
    more = tokens.margin_samples - whisper.margin_samples
    assert torch.equal(tokens(wav), whisper(wav[:, more:-more]))


def test_a_second_layer_equals_the_layer_on_each_window():
    tokens = second_layer()
    wav = torch.randn(2, 2 * tokens.reach_samples + 5 * 320)
    first, (layer,) = tokens.first, tokens.further
    table = first.encoder.positions
    with torch.no_grad():
        found, below = tokens(wav), first(wav) - table[POSITION]
        for k in range(found.shape[1]):
            window = below[:, k : k + 2 * CONTEXT + 1]
            expected = layer(window + table[POSITION - CONTEXT : POSITION + CONTEXT + 1])
            torch.testing.assert_close(found[:, k], expected[:, CONTEXT], atol=1e-5, rtol=1e-5)


def test_tokens_that_reach_further_than_the_margin_are_refused():
    tokens = second_layer()
    tokens.reach_samples = 40_000
    with pytest.raises(ValueError, match="encoder must reach 31240 samples at most, got 40000"):
        SpeechTokens(tokens)


@pytest.mark.parametrize("blank", ["landmarks", "pixels"])
def test_a_blanked_stream_does_not_matter_and_the_other_one_does(blank):
    torch.manual_seed(0)
    model = new_model(SpeechTokens(MelTokens())).eval()
    changed = without(model, blank)
    streams = {"landmarks": torch.randn(2, 1, 9, 62, 3), "pixels": torch.rand(2, 1, 9, 48, 48)}

    def encode(model, **given):
        return model.encode_mouths(given["landmarks"], given["pixels"])

    with torch.no_grad():
        first = {name: values[0] for name, values in streams.items()}
        for name, values in streams.items():
            same = torch.equal(
                encode(changed, **first), encode(changed, **{**first, name: values[1]})
            )
            assert same == (name == blank)
            assert not torch.equal(
                encode(model, **first), encode(model, **{**first, name: values[1]})
            )


def test_windows_from_the_cache_score_as_those_of_the_store(store, tmp_path):
    torch.manual_seed(0)
    model = create_model("face_sync").eval()
    (clip,) = cached_clips(store, [0], MouthCache(tmp_path, model.pixels.crop_size))
    crops = crops_for(model.spec, store[0])
    expected = score_clip_band(model, crops, np.asarray(store[0].wav_16k), 30.0, False).band
    found = band_of(model, clip, 30.0)
    assert torch.equal(found.isnan(), expected.isnan())
    # The cache rounds: landmarks to half precision, mouths to bytes.
    limit = 0.02 * float(expected.nan_to_num().abs().max())
    torch.testing.assert_close(found, expected, atol=limit, rtol=0, equal_nan=True)


def test_an_offset_that_is_not_known_is_the_median_of_the_clips(monkeypatch):
    """The model of this test finds the offsets 0, 40 and 80 ms, one of each clip."""

    def band(model, clip, truth_ms):
        frames = torch.arange(-15, 16) + round((clip - truth_ms) / 40)
        return -frames.square().float().expand(60, 31)

    monkeypatch.setattr("benchmarks.sync.cached_windows.band_of", band)
    monkeypatch.setattr(
        "benchmarks.sync.cached_windows.clip_offset_ms",
        lambda band: 40.0 * (15 - int(band.mean(0).argmax())),
    )
    model = create_model("face_sync")
    found = measure(model, CachedSource([0, 40, 120], None))
    # About 40 ms the last clip is 2 frames off, the others 1 at most.
    assert found == {"clips": 3, "constant_ms": 40.0, "all": [66.7, 66.7, 66.7]}


def test_batches_of_a_seed_are_made_once():
    made = []

    def make_batch(rng, draws):
        made.append(float(rng.random()))
        return (torch.tensor(made[-1]),)

    batches = KeptBatches(make_batch)

    def draw(seed):
        return batches(np.random.default_rng(seed), torch.Generator().manual_seed(seed))[0]

    assert draw(1) == draw(1) and draw(1) != draw(2)
    assert len(made) == 2


def test_rows_have_mean_and_standard_deviation_over_seeds():
    runs = [
        {"row": "base", "seed": seed, "tests": {"LRS3": {"all": [value, 50.0, 60.0]}}}
        for seed, value in enumerate((10.0, 12.0, 14.0))
    ]
    assert summary(runs, "base") == {"LRS3": [(12.0, 2.0), (50.0, 0.0), (60.0, 0.0)]}
    assert summary(runs, "log-mel") == {}
    assert table(runs)[2:] == ["| base | 3 | 12.0 ± 2.0 / 50.0 ± 0.0 / 60.0 ± 0.0 |"]


@pytest.fixture
def trained(results, monkeypatch):
    """Collect the trained rows without training them."""
    rows = []

    def one_run(parts, name, arm, seed):
        rows.append((name, seed))
        tests = {"LRS3": {"all": [1.0, 2.0, 3.0]}}
        return [
            {"row": name, "seed": seed, "steps": 240, "batch": 16, "train_seconds": 2}
            | {"tests": tests}
        ]

    monkeypatch.setattr(face_sync_ablation, "one_run", one_run)
    monkeypatch.setattr(face_sync_ablation, "Parts", lambda options: options)
    return rows


def run(monkeypatch, *more):
    needed = ["s1", "splits", "people", "research", "open", "two-layers", "others", "lrs3"]
    flags = [text for name in (*needed, "cache", "work") for text in (f"--{name}", "x")]
    monkeypatch.setattr("sys.argv", ["face_sync_ablation.py", *flags, *map(str, more)])
    face_sync_ablation.main()


def test_a_stopped_run_resumes_and_all_rows_of_a_seed_come_first(trained, monkeypatch):
    run(monkeypatch, "--steps", 240, "--seeds", 0)
    assert trained == [(name, 0) for name in ARMS]
    run(monkeypatch, "--steps", 240, "--seeds", 0, 1)
    assert trained[len(ARMS) :] == [(name, 1) for name in ARMS]
    assert len(face_sync_ablation.recorded()) == 2 * len(ARMS)


def test_runs_of_another_length_are_not_mixed(trained, monkeypatch):
    run(monkeypatch, "--steps", 240, "--seeds", 0)
    with pytest.raises(SystemExit, match="holds runs of other --steps or --batch"):
        run(monkeypatch, "--steps", 100, "--seeds", 1)


def test_rows_differ_from_base_in_one_thing():
    base = ARMS["base"]._asdict()
    for name, arm in ARMS.items():
        changed = [key for key, value in arm._asdict().items() if value != base[key]]
        assert len(changed) == (name != "base")
    assert set(ARMS) < set(ROWS)
