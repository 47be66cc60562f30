import pytest
import tyro

from avsync.training.clip_data import ClipData
from avsync.training.dense_sync import DenseSyncRecipe
from avsync.training.fine_tune import FineTuneRecipe
from avsync.training.first_look import AUDIT_FILE
from avsync.training.loop import LoopSettings
from avsync.training.recipes import RECIPES, run

# What a recipe cannot do without, besides clips and a folder.
REQUIRED = {
    "mtdvocalist": ["--teacher", "teacher.safetensors"],
    "lip-reader": ["--transcripts", "folder"],
    "av-syncnet": ["--transcripts", "folder"],
}


def test_every_recipe_trains_by_settings_of_its_own():
    settings = [recipe.settings for recipe in RECIPES.values()]
    assert len(set(settings)) == len(RECIPES)
    for name, recipe in RECIPES.items():
        # `avsync train perfect-match` is in avsync/training/perfect_match.py.
        module = name.replace("-", "_")
        assert recipe.settings.__module__ == recipe.train.__module__ == f"avsync.training.{module}"


def parse(name, *given):
    choices = {name: recipe.settings for name, recipe in RECIPES.items()}
    rest = REQUIRED.get(name, [])
    arguments = [name, "--data", "store", "-o", "run", *rest, *given]
    return tyro.extras.subcommand_cli_from_dict(choices, prog="avsync train", args=arguments)


@pytest.mark.parametrize("flag", ["--corpus-offset-ms", "--zero-ms"])
@pytest.mark.parametrize("name", sorted(RECIPES.keys() - {"dense-sync"}))
def test_the_offset_of_a_corpus_is_taken_off_its_clips_by_either_name(name, flag):
    settings = parse(name, flag, "20")
    data = settings if hasattr(settings, "data") else settings.clips
    assert data.corpus_offset_ms == (20.0,)


@pytest.mark.parametrize("flag", ["--answer-offset-ms", "--zero-ms"])
def test_the_offset_of_answers_has_a_name_of_its_own(flag):
    assert parse("dense-sync", flag, "20").answer_offset_ms == 20.0


def test_a_flag_of_one_meaning_is_no_flag_of_the_other(capsys):
    for name, flag in (("dense-sync", "--corpus-offset-ms"), ("syncnet", "--answer-offset-ms")):
        with pytest.raises(SystemExit):
            parse(name, flag, "20")
        assert "Unrecognized" in capsys.readouterr().err


def test_other_settings_are_refused_by_name():
    with pytest.raises(ValueError, match=r"settings must be one of VocalistRecipe, .*, got dict"):
        run({})


@pytest.mark.parametrize("name", ["dense-sync", "fine-tune"])
def test_training_begins_with_a_look_at_the_stores(store, tmp_path, name):
    loop = LoopSettings(output=tmp_path, steps=1, warmup=0, validate_every=0, device="cpu")
    if name == "dense-sync":
        settings = DenseSyncRecipe(loop=loop, data=(store.path,), batch=2, frames=12)
    else:
        clips = ClipData(data=(store.path,), batch=2)
        settings = FineTuneRecipe(clips=clips, loop=loop, windows=6)
    with pytest.warns(UserWarning, match="speakers: all clips are in one folder"):
        weights = run(settings)
    assert weights.is_file()
    assert (tmp_path / AUDIT_FILE).read_text().startswith("3 clips of store")
