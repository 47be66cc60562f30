import pytest

from avsync.pipelines.audit.preflight import AUDIT_FILE
from avsync.pipelines.train import train
from avsync.training.data.sync import ClipData
from avsync.training.engine.loop import LoopSettings
from avsync.training.recipes.dense_sync import DenseSyncRecipe
from avsync.training.recipes.fine_tune import FineTuneRecipe


def test_other_settings_are_refused_by_name():
    with pytest.raises(ValueError, match=r"settings must be one of VocalistRecipe, .*, got dict"):
        train({})


@pytest.mark.parametrize("name", ["dense-sync", "fine-tune"])
def test_training_begins_with_a_look_at_the_stores(store, tmp_path, name):
    loop = LoopSettings(output=tmp_path, steps=1, warmup=0, validate_every=0, device="cpu")
    if name == "dense-sync":
        settings = DenseSyncRecipe(loop=loop, data=(store.path,), batch=2, frames=12)
    else:
        clips = ClipData(data=(store.path,), batch=2)
        settings = FineTuneRecipe(clips=clips, loop=loop, windows=6)
    with pytest.warns(UserWarning, match="speakers: all clips are in one folder"):
        weights = train(settings)
    assert weights.is_file()
    assert (tmp_path / AUDIT_FILE).read_text().startswith("3 clips of store")
