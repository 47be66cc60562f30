import pytest
import tyro

from avsync.training.catalog import RECIPES

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
        # `avsync train perfect-match` is in avsync/training/recipes/perfect_match.py.
        module = name.replace("-", "_")
        assert (
            recipe.settings.__module__
            == recipe.train.__module__
            == f"avsync.training.recipes.{module}"
        )


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
