import sys
from pathlib import Path
from types import ModuleType

import pytest
import tyro

from avsync.training import recipes
from avsync.training.catalog import RECIPES, find_recipes

NEW_RECIPE = """
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class MyRecipe:
    steps: int


def train(recipe: MyRecipe) -> Path:
    return Path(str(recipe.steps))
"""

# What a recipe cannot do without, besides clips and a folder.
REQUIRED = {
    "mtdvocalist": ["--teacher", "teacher.safetensors"],
    "lip-reader": ["--transcripts", "folder"],
    "av-syncnet": ["--transcripts", "folder"],
}


def test_every_module_of_recipes_is_a_recipe_with_its_own_settings():
    settings = [recipe.settings for recipe in RECIPES.values()]
    assert len(set(settings)) == len(RECIPES)
    for name, recipe in RECIPES.items():
        # `avsync train perfect-match` is in avsync/training/recipes/sync/perfect_match.py.
        module = name.replace("-", "_")
        package = recipe.train.__module__.split(".")[3]
        assert (
            recipe.settings.__module__
            == recipe.train.__module__
            == f"avsync.training.recipes.{package}.{module}"
        )


def test_a_new_module_is_a_new_recipe(tmp_path, monkeypatch):
    (tmp_path / "my_model.py").write_text(NEW_RECIPE)
    monkeypatch.setattr(recipes, "__path__", [str(tmp_path)])
    monkeypatch.setattr(recipes, "__name__", "new_recipes")
    package = ModuleType("new_recipes")
    package.__path__ = [str(tmp_path)]
    monkeypatch.setitem(sys.modules, "new_recipes", package)
    found = find_recipes()
    assert list(found) == ["my-model"]
    assert found["my-model"].train(found["my-model"].settings(3)) == Path("3")


def parse(name, *given):
    choices = {name: recipe.settings for name, recipe in RECIPES.items()}
    rest = REQUIRED.get(name, [])
    arguments = [name, "--data", "store", "-o", "run", *rest, *given]
    return tyro.extras.subcommand_cli_from_dict(choices, prog="avsync train", args=arguments)


@pytest.mark.parametrize("flag", ["--corpus-offset-ms", "--zero-ms"])
@pytest.mark.parametrize("name", sorted(RECIPES.keys() - {"dense-sync", "face-sync"}))
def test_the_offset_of_a_corpus_is_taken_off_its_clips_by_either_name(name, flag):
    settings = parse(name, flag, "20")
    data = settings if hasattr(settings, "data") else settings.clips
    assert data.corpus_offset_ms == (20.0,)


@pytest.mark.parametrize("flag", ["--answer-offset-ms", "--zero-ms"])
def test_the_offset_of_answers_has_a_name_of_its_own(flag):
    for name in ("dense-sync", "face-sync"):
        assert parse(name, flag, "20").answer_offset_ms == 20.0


def test_a_flag_of_one_meaning_is_no_flag_of_the_other(capsys):
    for name, flag in (("dense-sync", "--corpus-offset-ms"), ("syncnet", "--answer-offset-ms")):
        with pytest.raises(SystemExit):
            parse(name, flag, "20")
        assert "Unrecognized" in capsys.readouterr().err
