import pytest
from data.made_store import loud, made_store, moving

from avsync.pipelines.train import AUDIT_FILE, check_run_folder, preflight_audit, train_recipe
from avsync.training.data.sync import ClipData
from avsync.training.engine.checkpoint import STATE_FILE
from avsync.training.engine.settings import LoopSettings
from avsync.training.recipes.sync.dense_sync import DenseSyncRecipe
from avsync.training.recipes.sync.fine_tune import FineTuneRecipe


def test_settings_of_no_recipe_are_refused():
    with pytest.raises(ValueError, match=r"settings must be one of .*VocalistRecipe, .*, got dict"):
        train_recipe({})


@pytest.mark.parametrize("name", ["dense-sync", "fine-tune"])
def test_training_begins_with_an_audit_of_the_stores(store, tmp_path, name):
    loop = LoopSettings(output=tmp_path, steps=1, warmup=0, validate_every=0, device="cpu")
    if name == "dense-sync":
        settings = DenseSyncRecipe(loop=loop, data=(store.path,), batch=2, frames=12)
    else:
        clips = ClipData(data=(store.path,), batch=2)
        settings = FineTuneRecipe(clips=clips, loop=loop, windows=6)
    with pytest.warns(UserWarning, match="speakers: all clips are in one folder"):
        weights = train_recipe(settings)
    assert weights.is_file()
    assert (tmp_path / AUDIT_FILE).read_text().startswith("3 clips of store")


@pytest.mark.parametrize(
    "name", ["log.csv", "audit.txt", "contact_sheet.png", "dense_sync.safetensors"]
)
def test_a_folder_with_files_of_others_is_no_folder_of_a_run(store, tmp_path, name):
    run = tmp_path / "run"
    run.mkdir()
    (run / name).write_text("step,mine\n")
    loop = LoopSettings(output=run, steps=1, warmup=0, validate_every=0, device="cpu")
    with pytest.raises(FileExistsError, match=f"{name} exists"):
        train_recipe(DenseSyncRecipe(loop=loop, data=(store.path,), batch=2, frames=12))
    assert (run / name).read_text() == "step,mine\n"
    assert list(run.iterdir()) == [run / name]


def test_the_weights_of_a_run_do_not_replace_those_it_starts_from(store, tmp_path):
    weights = tmp_path / "dense_sync.safetensors"
    weights.write_bytes(bytes(8) + b"{")
    loop = LoopSettings(output=tmp_path, steps=1, warmup=0, validate_every=0, device="cpu")
    clips = ClipData(data=(store.path,), batch=2)
    with pytest.raises(ValueError, match="must not replace an input"):
        train_recipe(FineTuneRecipe(clips=clips, loop=loop, weights=weights))


def test_a_folder_of_a_run_is_one_again(tmp_path):
    check_run_folder(tmp_path / "new")
    (tmp_path / "audit.txt").write_text("3 clips of store\nok lengths  fine\n")
    check_run_folder(tmp_path)
    (tmp_path / "log.csv").write_text("step,seconds,loss,chance,rate,measured,alarm\n")
    for name in ("contact_sheet.png", "audit.txt"):
        (tmp_path / name).touch()
    (tmp_path / "lip_mask.safetensors").write_bytes(bytes(8) + b"{")
    check_run_folder(tmp_path)


@pytest.fixture
def twice(tmp_path):
    """Make a store that holds one clip twice."""
    clips = {"a/0": (moving(0), loud(0)), "b/1": (moving(1), loud(0)), "c/2": (moving(2), loud(2))}
    return made_store(tmp_path / "store", clips)


def test_a_run_begins_with_an_audit_that_warns_and_refuses_nothing(twice, tmp_path):
    run = tmp_path / "run"
    with pytest.warns(
        UserWarning, match="store: duplicates: pairs of clips with the same audio: 1"
    ):
        messages = preflight_audit(run, [twice.path])
    table = (run / AUDIT_FILE).read_text()
    assert "!! duplicates" in table and "ok silence" in table and "offsets" in table
    assert all(line.split(": ", 2)[2] in table for line in messages)


def test_a_resumed_run_is_not_audited_again(twice, tmp_path, recwarn):
    (tmp_path / STATE_FILE).touch()
    assert preflight_audit(tmp_path, [twice.path]) == []
    assert not (tmp_path / AUDIT_FILE).exists() and not recwarn.list
