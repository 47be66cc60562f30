from avsync.training.catalog import RECIPES


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
