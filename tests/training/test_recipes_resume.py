"""Each recipe, stopped and started again, ends as one that was never stopped."""

import csv
import json
from dataclasses import replace

import pytest
import torch
from training.spoken import READER, write_transcripts

from avsync import weights as checkpoints
from avsync.data.sampling.mixtures import MixtureLevels
from avsync.encoders.av_hubert import AvHubertConfig
from avsync.pipelines.train import train_recipe as run
from avsync.tasks.sync.av_syncnet import AvSyncNetConfig
from avsync.tasks.sync.avst import AvstConfig
from avsync.tasks.sync.lip_expert import LipExpertConfig
from avsync.tasks.sync.perfect_match import PerfectMatchConfig
from avsync.tasks.sync.syncnet import SyncNetConfig
from avsync.tasks.sync.vocalist import VocalistConfig, build_vocalist
from avsync.tasks.talking.generator import TalkingFaceConfig
from avsync.tasks.talking.synctalklip import SyncTalklipConfig
from avsync.tasks.talking.wav2lip import Wav2LipConfig
from avsync.training.catalog import RECIPES
from avsync.training.data.mixtures import MixtureData
from avsync.training.data.sync import ClipData
from avsync.training.data.utterances import TranscriptData
from avsync.training.engine.checkpoint import STATE_FILE
from avsync.training.engine.run_log import LOG_FILE
from avsync.training.engine.settings import LoopSettings
from avsync.training.recipes.lipreading.lip_reader import LipReaderRecipe
from avsync.training.recipes.separation.lip_mask import LipMaskRecipe
from avsync.training.recipes.separation.ynet import YNetRecipe
from avsync.training.recipes.sync.av_syncnet import AvSyncNetRecipe
from avsync.training.recipes.sync.avst import AvstRecipe
from avsync.training.recipes.sync.dense_sync import DenseSyncRecipe
from avsync.training.recipes.sync.face_sync import FaceSyncRecipe
from avsync.training.recipes.sync.fine_tune import FineTuneRecipe
from avsync.training.recipes.sync.lip_expert import LipExpertRecipe
from avsync.training.recipes.sync.mtdvocalist import MtdVocalistRecipe
from avsync.training.recipes.sync.perfect_match import PerfectMatchRecipe
from avsync.training.recipes.sync.syncnet import SyncNetRecipe
from avsync.training.recipes.sync.vocalist import VocalistRecipe
from avsync.training.recipes.talking.synctalklip import SyncTalklipRecipe
from avsync.training.recipes.talking.wav2lip import Wav2LipRecipe

MEL_CHANNELS = (2, 3, 4, 5, 8)
AUDIO_ENCODER = AvHubertConfig(16, 1, 2, 32, channels=(2, 3, 4, 5), position_frames=5)
LETTERS = replace(READER, unit="characters")
WATCHED = dict.fromkeys(RECIPES, "within_1_at_5") | {
    "lip-mask": "si_sdr_gain",
    "ynet": "si_sdr_gain",
    "lip-reader": "told_from_video",
    "av-syncnet": "within_1_at_7",
    "synctalklip": "psnr",
    "wav2lip": "psnr",
}
# One recipe for each kind of batch of the sync models; all recipes share the loop.
QUICK = ("dense-sync", "perfect-match", "vocalist")
NAMES = [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in RECIPES]
GENERATOR = TalkingFaceConfig((2, 3, 4, 5, 6, 7), (7, 6, 5, 4, 3), 2)


def settings(name, store, folder, loop):
    """A small run of the recipe; more steps change nothing in the ones before."""
    clips = ClipData((store.path,), batch=2)
    vocalist = VocalistConfig(channels=MEL_CHANNELS, depth=1, heads=2)
    if name == "mtdvocalist":
        torch.manual_seed(1)
        sizes = {"channels": list(MEL_CHANNELS), "depth": 1, "heads": 2}
        checkpoints.save(
            folder / "teacher.safetensors",
            build_vocalist(VocalistConfig(**sizes)).state_dict(),
            sizes,
        )
        return MtdVocalistRecipe(
            clips=clips, loop=loop, model=vocalist, teacher=folder / "teacher.safetensors"
        )
    streams = ((2, 3, 4), (2, 3, 4, 5, 6), 6)
    small = {
        "vocalist": lambda: VocalistRecipe(clips, loop, vocalist),
        "syncnet": lambda: SyncNetRecipe(clips, loop, SyncNetConfig(*streams, 64, "face")),
        "lip-expert": lambda: LipExpertRecipe(clips, loop, LipExpertConfig(channels=MEL_CHANNELS)),
        "perfect-match": lambda: PerfectMatchRecipe(
            clips, loop, PerfectMatchConfig(*streams, size=64, crop="face"), windows=6
        ),
        "avst": lambda: AvstRecipe(
            clips, loop, AvstConfig((2, 3, 4, 8), MEL_CHANNELS, depth=1, heads=2), windows=6
        ),
        "dense-sync": lambda: DenseSyncRecipe(loop, (store.path,), batch=2, frames=12, width=0.05),
        "face-sync": lambda: FaceSyncRecipe(
            loop, (store.path,), batch=2, frames=12, cache=folder / "cache"
        ),
        "lip-mask": lambda: LipMaskRecipe(
            (store.path,), loop, cache=folder / "cache", batch=2, seconds=1, width=0.1
        ),
        "ynet": lambda: YNetRecipe(
            MixtureData((store.path,), batch=2, cache=folder / "cache"),
            loop,
            MixtureLevels(second_share=1),
            kind="m",
            width=0.06,
            visual_width=0.06,
            seconds=1,
        ),
        "synctalklip": lambda: SyncTalklipRecipe(
            clips,
            loop,
            SyncTalklipConfig(AUDIO_ENCODER, GENERATOR, window=5),
            critic=MEL_CHANNELS,
            runs=1,
        ),
        "wav2lip": lambda: Wav2LipRecipe(
            clips, loop, Wav2LipConfig(MEL_CHANNELS[:4], GENERATOR), critic=MEL_CHANNELS
        ),
        "lip-reader": lambda: LipReaderRecipe(
            TranscriptData(write_transcripts(folder / "said")), clips, loop, READER
        ),
        "av-syncnet": lambda: AvSyncNetRecipe(
            clips, loop, AvSyncNetConfig(LETTERS, window=3), windows=6, contrast="clip"
        ),
        "fine-tune": lambda: FineTuneRecipe(clips=clips, loop=loop, windows=6),
    }
    # A recipe without an entry is trained at its own sizes.
    return small.get(name, lambda: RECIPES[name].settings(clips=clips, loop=loop))()


@pytest.mark.filterwarnings("ignore:store")
@pytest.mark.parametrize("name", NAMES)
def test_a_stopped_run_resumes_to_the_bit(name, store, tmp_path):
    def trained(folder, steps):
        loop = {"steps": steps, "warmup": 0, "decay": 0.0, "validate_every": 0, "device": "cpu"}
        run(settings(name, store, tmp_path, LoopSettings(output=tmp_path / folder, **loop)))
        return torch.load(tmp_path / folder / STATE_FILE)

    whole = trained("whole", 3)
    trained("stopped", 2)
    resumed = trained("stopped", 3)
    for part in ("task", "average"):
        for key, value in whole[part].items():
            assert torch.equal(resumed[part][key], value), f"{part} {key}"


@pytest.mark.filterwarnings("ignore:store")
@pytest.mark.parametrize("name", NAMES)
def test_early_stopping_goes_by_a_figure_that_the_recipe_measures(name, store, tmp_path):
    loop = LoopSettings(output=tmp_path / "run", steps=1, warmup=0, patience=1, device="cpu")
    # Mixtures take two clips, which this store has in no split of its own.
    names = ["one", "two", "three"]
    asked, splits = settings(name, store, tmp_path, loop), tmp_path / "splits.json"
    splits.write_text(json.dumps({"train": names, "val": names}))
    if name in ("dense-sync", "face-sync"):
        asked = replace(asked, splits=splits)
    elif name == "lip-mask":
        asked = replace(asked, splits=splits, validate_pairs=2)
    else:
        few = {"validate_mixtures": 2} if name == "ynet" else {"validate_clips": 2}
        asked = replace(asked, clips=replace(asked.clips, splits=splits, **few))
    run(asked)
    early = torch.load(tmp_path / "run" / STATE_FILE)["early"]
    with open(tmp_path / "run" / LOG_FILE, newline="") as file:
        (measured,) = [row["measured"] for row in csv.DictReader(file) if row["measured"]]
    figures = dict(figure.split("=") for figure in measured.split())
    assert float(figures[WATCHED[name]]) == pytest.approx(early["best"], rel=1e-3)
