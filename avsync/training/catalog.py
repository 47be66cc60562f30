"""The recipes of `avsync train`: every module in a package of `avsync.training.recipes` is one.

`avsync train perfect-match` is `recipes/sync/perfect_match.py`. Its function `train(recipe)` takes
an instance of a frozen dataclass, whose fields are the flags of the command, and returns the path
of the weights. A new recipe needs no entry here.
"""

import pkgutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from avsync.training import recipes


class Recipe(NamedTuple):
    """A recipe of `avsync train`.

    Args:
        settings: frozen dataclass of its settings.
        train: function that trains by an instance of it, and returns the path of the weights.
    """

    settings: type
    train: Callable[[Any], Path]


def find_recipes() -> dict[str, Recipe]:
    """Import the modules of all recipes.

    Returns:
        The recipes by the name of the command: the name of the module, with hyphens.
    """
    found = {}
    for module in pkgutil.walk_packages(recipes.__path__, f"{recipes.__name__}."):
        if not module.ispkg:
            train = import_module(module.name).train
            name = module.name.rpartition(".")[2].replace("_", "-")
            found[name] = Recipe(get_type_hints(train)["recipe"], train)
    return found


RECIPES = find_recipes()
