import pytest

from avsync.training.clip_data import ClipData
from avsync.training.dense_sync import DenseSyncRecipe
from avsync.training.fine_tune import FineTuneRecipe
from avsync.training.first_look import AUDIT_FILE
from avsync.training.loop import LoopSettings
from avsync.training.recipes import RECIPES, run


def test_every_recipe_trains_by_settings_of_its_own():
    settings = [recipe.settings for recipe in RECIPES.values()]
    assert len(set(settings)) == len(RECIPES)
    for name, recipe in RECIPES.items():
        # `avsync train perfect-match` is in avsync/training/perfect_match.py.
        module = name.replace("-", "_")
        assert recipe.settings.__module__ == recipe.train.__module__ == f"avsync.training.{module}"


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
