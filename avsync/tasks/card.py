"""Model cards: what is known of each released model, and how it is built."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    NamedTuple,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from torch import nn

Config = Mapping[str, Any]
Build = Callable[[Config], "nn.Module"]
Job = Literal["sync", "separation", "reading", "talking"]
# No number in a config is larger; one of a billion would ask for terabytes of memory.
MAX_NUMBER = 100_000
FrozenConfig = TypeVar("FrozenConfig", bound="DataclassInstance")


class ModelCard(NamedTuple):
    """A released model.

    Args:
        name: what `create_model` and the command line call it.
        summary: architecture and size, in one line.
        build: builds the model with fresh weights, from the fields of its config that differ from
            the defaults.
        file: weights in the package, with their config beside them; None for models whose weights
            avsync may not ship: users bring theirs with `avsync convert`.
        sha256: hash of `file`; None without a file.
        licence: of the weights.
        trained_on: training data of the weights.
        measured: figures, with the command that prints them, or where they were published.
        train: arguments of `avsync train` for a model of which nobody published weights, else None.
        job: `sync` models score how well face and audio match in time, `separation` models extract
            one face's voice from a mixture, `reading` models transcribe speech, `talking` models
            generate a face that speaks given audio.
        config_sha256: `sha256_of_config` of the JSON beside `file`, which holds config and
            calibration; None without a file.
    """

    name: str
    summary: str
    build: Build
    file: str | None
    sha256: str | None
    licence: str
    trained_on: str
    measured: str
    train: str | None = None
    job: Job = "sync"
    config_sha256: str | None = None


def upstream_card(
    name: str,
    summary: str,
    build: Build,
    licence: str,
    trained_on: str,
    measured: str,
    job: Job = "sync",
) -> ModelCard:
    """Return the card of a model whose weights its authors publish: users convert them."""
    return ModelCard(name, summary, build, None, None, licence, trained_on, measured, job=job)


def untrained_card(
    name: str,
    summary: str,
    build: Build,
    measured: str,
    train: str,
    page: str,
    job: Job = "sync",
) -> ModelCard:
    """Return the card of a model without published weights: users train their own.

    Args:
        name: see `ModelCard`, as for the other arguments.
        summary: one line.
        build: builds the model.
        measured: figures.
        train: arguments of `avsync train`.
        page: documentation of the model, named in the licence.
        job: what the model is for.
    """
    licence = f"no weights published or shipped: train your own; see {page}"
    return ModelCard(name, summary, build, None, None, licence, "nothing", measured, train, job)


def replace_fields(defaults: FrozenConfig, config: Config) -> FrozenConfig:
    """Return a frozen config with some of its fields replaced.

    Args:
        defaults: the config; its fields may be configs.
        config: new values by name, as read from JSON: nested configs are dictionaries, and lists
            become tuples.

    Raises:
        ValueError: a name is not a field, and the message lists the fields; or a value is not of
            the field's type.
    """
    names = [field.name for field in fields(defaults)]
    if unknown := sorted(set(config) - set(names)):
        raise ValueError(
            f"config of {type(defaults).__name__} has no field {', '.join(unknown)}; "
            f"its fields are {', '.join(names)}"
        )
    kinds = get_type_hints(type(defaults))
    values: dict[str, Any] = {}
    for name, value in config.items():
        default = getattr(defaults, name)
        if isinstance(value, Mapping) and is_dataclass(default) and not isinstance(default, type):
            value = replace_fields(default, value)
        value = _tuples(value)
        if not _fits(value, kinds[name]) or (_is_size(default) and value < 1):
            size = f"an integer from 1 to {MAX_NUMBER}"
            wanted = size if _is_size(default) else _describe(kinds[name])
            raise ValueError(
                f"{name} of {type(defaults).__name__} must be {wanted}, got {value!r:.60}"
            )
        values[name] = value
    return replace(defaults, **values)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def _is_size(default: Any) -> bool:
    """Return whether a field is a width, a count or the like: an integer, 1 or more by default."""
    return isinstance(default, int) and not isinstance(default, bool) and default > 0


def _fits(value: Any, kind: Any) -> bool:
    """Return whether a value is of an annotated type, and a number not beyond the limit."""
    parts, origin = get_args(kind), get_origin(kind)
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is Literal:
        return value in parts
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if parts[1:] == (...,):
            return all(_fits(item, parts[0]) for item in value)
        return len(value) == len(parts) and all(map(_fits, value, parts))
    if kind in (int, float):
        accepted = (int,) if kind is int else (int, float)
        number = isinstance(value, accepted) and not isinstance(value, bool)
        return number and abs(value) <= MAX_NUMBER
    return isinstance(value, kind) if isinstance(kind, type) else True


def _describe(kind: Any) -> str:
    parts, origin = get_args(kind), get_origin(kind)
    if origin in (Union, UnionType):
        return " or ".join(map(_describe, parts))
    if origin is Literal:
        return f"one of {', '.join(map(str, parts))}"
    if origin is tuple:
        count = "" if parts[1:] == (...,) else f" of {len(parts)}"
        return f"a list{count}, each item {_describe(parts[0])}"
    words = {int: "an integer", float: "a number", str: "a text", bool: "true or false"}
    limit = f" up to {MAX_NUMBER}" if kind in (int, float) else ""
    return words.get(kind, "null" if kind is NoneType else getattr(kind, "__name__", "")) + limit
