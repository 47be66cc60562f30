"""The `avsync` command: finds the sub-command and turns errors into plain lines and exit codes."""

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import tyro

from avsync import __version__
from avsync.cli.dataset_commands import audit, features, landmarks, prepare
from avsync.cli.media_commands import check, demo, fix, separate, talk
from avsync.cli.model_commands import convert, doctor, models

DESCRIPTION = "Measures where the voice is against the lips in a video, and repairs it."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and returns its exit code.

    0 in tolerance, 10 out of tolerance, 11 cannot tell, 12 unreadable: the worst of a batch.
    1 where something went wrong, 2 for wrong usage.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
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
        # The reader of our output has left (`avsync check * | head -1`); nothing more can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (RuntimeError, OSError) as error:
        return _complain(error, 1)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)


def train() -> int:
    """Train a model on prepared clips: `avsync train dense-sync --data STORE`."""
    raise ValueError("say which model to train: avsync train dense-sync --data STORE")


def evaluate() -> int:
    """Measure a model on prepared clips, `avsync evaluate sync --model NAME --data STORE`, a lip
    reader, `avsync evaluate lipread --data STORE --transcripts DIR --weights FILE`, talking faces,
    `avsync evaluate talking --made DIR --references DIR`, or separated voices, `avsync evaluate
    separation --references DIR --estimates DIR`."""
    raise ValueError("say what to evaluate: avsync evaluate sync --model NAME --data STORE")


def _dispatch(arguments: Sequence[str]) -> int:
    name, *rest = arguments or [""]
    if name in GROUPS and rest not in ([], ["-h"], ["--help"]):
        return GROUPS[name](rest)
    code: int = tyro.extras.subcommand_cli_from_dict(
        COMMANDS, prog="avsync", description=DESCRIPTION, args=arguments
    )
    sys.stdout.flush()
    return code


def _train(arguments: Sequence[str]) -> int:
    # The recipe is the command line, so only here does printing help load torch.
    from avsync.pipelines.train import train as run
    from avsync.training.catalog import RECIPES

    choices: dict[str, Callable[..., Any]] = {
        name: recipe.settings for name, recipe in RECIPES.items()
    }
    weights = run(_asked("avsync train", choices, arguments))
    print(f"the weights are in {weights}")
    return 0


def _evaluate(arguments: Sequence[str]) -> int:
    from avsync.pipelines.evaluate import separation as separation
    from avsync.pipelines.evaluate import talking as talking
    from avsync.pipelines.evaluate.lipreading import (
        LipreadEvaluation,
        evaluate_lipread,
        lipread_table,
    )
    from avsync.pipelines.evaluate.sync import SyncEvaluation, evaluate_sync, table

    choices: dict[str, Callable[..., Any]] = {
        "sync": SyncEvaluation,
        "lipread": LipreadEvaluation,
        "talking": talking.TalkingEvaluation,
        "separation": separation.SeparationEvaluation,
    }
    asked = _asked("avsync evaluate", choices, arguments)
    if isinstance(asked, SyncEvaluation):
        print(table(evaluate_sync(asked)))
        return 0
    if isinstance(asked, LipreadEvaluation):
        print(lipread_table(evaluate_lipread(asked)))
        return 0
    if isinstance(asked, talking.TalkingEvaluation):
        figures = talking.evaluate_talking(asked)
        print(talking.talking_table(figures))
        return talking.talking_exit_code(figures)
    rows = separation.evaluate_separation(asked)
    print(separation.separation_table(asked, rows))
    return separation.exit_code(rows)


def _asked(prog: str, choices: dict[str, Callable[..., Any]], arguments: Sequence[str]) -> Any:
    return tyro.extras.subcommand_cli_from_dict(choices, prog=prog, args=arguments)


COMMANDS: dict[str, Callable[..., int]] = {
    "check": check,
    "fix": fix,
    "separate": separate,
    "talk": talk,
    "models": models,
    "convert": convert,
    "prepare": prepare,
    "audit": audit,
    "features": features,
    "landmarks": landmarks,
    "train": train,
    "evaluate": evaluate,
    "demo": demo,
    "doctor": doctor,
}
# Sub-commands with sub-commands of their own.
GROUPS: dict[str, Callable[[Sequence[str]], int]] = {"train": _train, "evaluate": _evaluate}


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    print(f"avsync: {message}", file=sys.stderr)


def _complain(error: object, code: int) -> int:
    print(f"avsync: {error}", file=sys.stderr)
    return code
