"""The `avsync` command: dispatch to sub-commands, errors to messages and exit codes."""

import inspect
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import tyro

from avsync import __version__
from avsync.cli.arguments import complain, say
from avsync.cli.dataset_commands import audit, features, landmarks, prepare, score
from avsync.cli.media_commands import check, demo, fix, separate, talk
from avsync.cli.model_commands import convert, doctor, models, weights
from avsync.media.open_limits import own_process

DESCRIPTION = (
    "Measure and repair the audio-video offset of talking faces. "
    "`avsync COMMAND --help` describes a command, `avsync --version` prints the version."
)
HELP = ("-h", "--help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: command-line arguments; by default those of the process.

    Returns:
        The exit code: 0 in tolerance, 10 out of tolerance, 11 cannot tell, 12 unreadable (the
        worst of a batch); 1 for an error, 2 for wrong usage, 130 if interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None:
        own_process()
    if given == ["--version"]:
        print(f"avsync {__version__}")
        return 0
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            return _dispatch(given)
    except ValueError as error:
        return _complain(error, 2)
    except BrokenPipeError:
        # The reader of stdout has closed the pipe (`avsync check * | head -1`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (RuntimeError, OSError) as error:
        return _complain(error, 1)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)


def train() -> int:
    """Train a model on prepared clips: `avsync train dense-sync --data STORE`."""
    raise ValueError("name a recipe: avsync train dense-sync --data STORE")


def evaluate() -> int:
    """Evaluate a model or its outputs: `avsync evaluate sync --model NAME --data STORE`."""
    raise ValueError("name an evaluation: avsync evaluate sync --model NAME --data STORE")


def _dispatch(arguments: Sequence[str]) -> int:
    name, *rest = arguments or [""]
    if name in GROUPS and rest:
        return GROUPS[name](rest)
    code: int = _parse("avsync", COMMANDS, arguments, DESCRIPTION)
    sys.stdout.flush()
    return code


def _train(arguments: Sequence[str]) -> int:
    # The fields of recipes and of evaluations are the command line, so their help loads torch.
    from avsync.pipelines.train import train_recipe as run
    from avsync.training.catalog import RECIPES

    choices: dict[str, Callable[..., Any]] = {
        name: recipe.settings for name, recipe in RECIPES.items()
    }
    weights = run(_parse("avsync train", choices, arguments, inspect.getdoc(train)))
    say(f"the weights are in {weights}")
    return 0


def _evaluate(arguments: Sequence[str]) -> int:
    from avsync.pipelines.evaluate import separation, talking
    from avsync.pipelines.evaluate.lipreading import (
        LipreadEvaluation,
        evaluate_lipread,
        lipread_table,
    )
    from avsync.pipelines.evaluate.sync import SyncEvaluation, evaluate_sync, sync_table

    choices: dict[str, Callable[..., Any]] = {
        "sync": SyncEvaluation,
        "lipread": LipreadEvaluation,
        "talking": talking.TalkingEvaluation,
        "separation": separation.SeparationEvaluation,
    }
    options = _parse("avsync evaluate", choices, arguments, inspect.getdoc(evaluate))
    if isinstance(options, SyncEvaluation):
        say(*sync_table(evaluate_sync(options)).split("\n"))
        return 0
    if isinstance(options, LipreadEvaluation):
        say(*lipread_table(evaluate_lipread(options)).split("\n"))
        return 0
    if isinstance(options, talking.TalkingEvaluation):
        figures = talking.evaluate_talking(options)
        say(*talking.talking_table(figures).split("\n"))
        return talking.talking_exit_code(figures)
    rows = separation.evaluate_separation(options)
    say(*separation.separation_table(options, rows).split("\n"))
    return separation.separation_exit_code(rows)


def _parse(
    prog: str,
    choices: dict[str, Callable[..., Any]],
    arguments: Sequence[str],
    description: str | None,
) -> Any:
    """Return what the chosen one returns, called with the arguments that follow its name."""
    first = arguments[0] if arguments else ""
    if first in HELP:
        choices = {name: _first_line(choice) for name, choice in choices.items()}
    elif first not in choices and not first.startswith("-"):
        # `avsync chek --help` is wrong usage, too.
        arguments = arguments[:1]
    return tyro.extras.subcommand_cli_from_dict(
        choices, prog=prog, description=description, args=arguments
    )


def _first_line(choice: Callable[..., Any]) -> Callable[[], None]:
    """Return a function with the first line of a docstring only, for the list in a help page."""

    def described() -> None: ...

    described.__doc__ = (inspect.getdoc(choice) or "").partition("\n")[0]
    return described


COMMANDS: dict[str, Callable[..., int]] = {
    "check": check,
    "fix": fix,
    "separate": separate,
    "talk": talk,
    "models": models,
    "weights": weights,
    "convert": convert,
    "prepare": prepare,
    "audit": audit,
    "features": features,
    "landmarks": landmarks,
    "score": score,
    "train": train,
    "evaluate": evaluate,
    "demo": demo,
    "doctor": doctor,
}
# Sub-commands with sub-commands of their own.
GROUPS: dict[str, Callable[[Sequence[str]], int]] = {"train": _train, "evaluate": _evaluate}


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    complain(message)


def _complain(error: object, code: int) -> int:
    complain(error)
    return code
