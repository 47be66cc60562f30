"""Seeded mutations of the elements of a file: a seed and a number always give the same mutation."""

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from benchmarks.media.structure.ebml import EBML
from benchmarks.media.structure.element import Element, Field, Format
from benchmarks.media.structure.isobmff import ISOBMFF
from benchmarks.media.structure.mpegts import MPEGTS
from benchmarks.media.structure.pages_and_tags import FLV, MXF, OGG
from benchmarks.media.structure.riff import RIFF

FORMATS = {
    **dict.fromkeys((".mp4", ".mov", ".m4a"), ISOBMFF),
    **dict.fromkeys((".mkv", ".webm"), EBML),
    **dict.fromkeys((".avi", ".wav"), RIFF),
    **{".ts": MPEGTS, ".ogv": OGG, ".flv": FLV, ".mxf": MXF},
}
# How many mutations a file gets.
COUNTS = (1, 1, 1, 1, 2, 3)
KIND_TRIES = 20


class Mutation(NamedTuple):
    """A mutated file: its mutations in words, joined by ` + `, and its bytes.

    Args:
        kinds: the kinds of the mutations, keys of `KINDS` or specials of the format.
        detail: what was changed.
        data: the file.
    """

    kinds: tuple[str, ...]
    detail: str
    data: bytes


def mutate(data: bytes, suffix: str, seed: int, number: int) -> Mutation:
    """Mutate the elements of a file in one to three ways.

    Args:
        data: bytes of an intact file.
        suffix: suffix of its name, a key of `FORMATS`.
        seed: seed of a run.
        number: number of the mutation in the run.
    """
    rng, form = Random(f"{seed} {number}"), FORMATS[suffix]
    tree = form.parse(data)
    kinds, details = [], []
    for _ in range(rng.choice(COUNTS)):
        for _ in range(KIND_TRIES):
            special = bool(form.specials) and rng.random() < 0.3
            kind = rng.choice(list(form.specials) if special else DRAWN)
            if special:
                detail = kind if form.specials[kind](tree, rng) else None
            else:
                detail = KINDS[kind](form, tree, rng)
            if detail is not None:
                kinds.append(kind)
                details.append(detail)
                break
    return Mutation(tuple(kinds), " + ".join(details), form.write(tree))


def _pick(tree: Element, rng: Random) -> tuple[Element, Element] | None:
    """Draw an element and its parent; first its name, as there are thousands of blocks."""
    pairs = [(parent, child) for parent in (tree, *tree.walk()) for child in parent.children or ()]
    if not pairs:
        return None
    name = rng.choice(sorted({child.name for _, child in pairs}))
    return rng.choice([pair for pair in pairs if pair[1].name == name])


def _index(parent: Element, child: Element) -> int:
    return [id(sibling) for sibling in parent.children or ()].index(id(child))


def _delete(form: Format, tree: Element, rng: Random) -> str | None:
    if (picked := _pick(tree, rng)) is None:
        return None
    parent, child = picked
    if rng.random() < 0.2:  # All of that name.
        parent.children = [
            sibling for sibling in parent.children or () if sibling.name != child.name
        ]
    else:
        del (parent.children or [])[_index(parent, child)]
    return f"delete {child.name}"


def _duplicate(form: Format, tree: Element, rng: Random) -> str | None:
    if (picked := _pick(tree, rng)) is None:
        return None
    parent, child = picked
    at, times = _index(parent, child), rng.choice((1, 1, 1, 20))
    if len(form.write(child)) > 20_000:
        times = 1
    (parent.children or [])[at:at] = [child.copy() for _ in range(times)]
    return f"duplicate {child.name} x{times}"


def _move(form: Format, tree: Element, rng: Random) -> str | None:
    if (picked := _pick(tree, rng)) is None:
        return None
    parent, child = picked
    del (parent.children or [])[_index(parent, child)]
    inside = {id(child), *map(id, child.walk())}
    parents = [e for e in (tree, *tree.walk()) if e.children is not None and id(e) not in inside]
    target = parent if rng.random() < 0.6 else rng.choice(parents)
    assert target.children is not None
    target.children.insert(rng.randrange(len(target.children) + 1), child)
    return f"move {child.name} to {target.name or 'the file'}"


def _swap(form: Format, tree: Element, rng: Random) -> str | None:
    first, second = _pick(tree, rng), _pick(tree, rng)
    if first is None or second is None:
        return None
    a, b = first[1], second[1]
    if a is b or any(b is e for e in a.walk()) or any(a is e for e in b.walk()):
        return None
    at, to = _index(*first), _index(*second)
    (first[0].children or [])[at] = b
    (second[0].children or [])[to] = a
    return f"swap {a.name} and {b.name}"


def _truncate(form: Format, tree: Element, rng: Random) -> str | None:
    if (picked := _pick(tree, rng)) is None:
        return None
    child = picked[1]
    contents = form.write(Element(child.name, child.body, child.children, child.info, b""))
    kept = rng.choice((0, 1, len(contents) // 2, max(0, len(contents) - 1)))
    if rng.random() < 0.3 and child.header is None:
        child.header = form.header(child, contents)  # Its size stays that of the whole.
    child.body, child.children = contents[:kept], None
    if form.seal is not None and rng.random() < 0.5:
        form.seal(child)
    return f"truncate {child.name} to {kept}"


def _resize(form: Format, tree: Element, rng: Random) -> str | None:
    if (picked := _pick(tree, rng)) is None or picked[1].name == "rest":
        return None
    child = picked[1]
    contents = child.body + b"".join(form.write(inner) for inner in child.children or ())
    child.header = form.resized(child, contents, rng)
    return f"resize {child.name}: {child.header[:24].hex()}"


def _rename(form: Format, tree: Element, rng: Random) -> str | None:
    if (picked := _pick(tree, rng)) is None or picked[1].name == "rest" or not form.renames:
        return None
    child = picked[1]
    # Of the same length, or a name of MXF's local sets could not be written.
    names = {other.name for other in tree.walk() if len(other.name) == len(child.name)}
    old, child.name = child.name, rng.choice(sorted(names - {"rest"}))
    return f"rename {old} to {child.name}"


def _noise(form: Format, tree: Element, rng: Random) -> str | None:
    """Overwrite bytes in a leaf: codec data, text, tables, media data."""
    if (picked := _pick(tree, rng)) is None or not picked[1].body:
        return None
    child = picked[1]
    at = rng.randrange(len(child.body))
    size = min(rng.choice((1, 2, 4, 16, 300)), len(child.body) - at)
    bytes_ = rng.choice((rng.randbytes(size), bytes(size), b"\xff" * size))
    child.body = child.body[:at] + bytes_ + child.body[at + size :]
    if form.seal is not None and rng.random() < 0.8:
        form.seal(child)
    return f"noise {child.name} at {at}, {size} bytes"


def _field(form: Format, tree: Element, rng: Random) -> str | None:
    """Change one number of one element."""
    fields: dict[str, list[tuple[Element, Field]]] = {}
    for element in tree.walk():
        for field in form.fields(element):
            fields.setdefault(field.name, []).append((element, field))
    if not fields:
        return None
    name = rng.choice(sorted(fields))
    element, field = rng.choice(fields[name])
    old = field.get(element.body)
    other, other_field = rng.choice(fields[name])
    value = _value(old, other_field.get(other.body), field.size_bits, rng)
    element.body = field.put(element.body, value)
    if form.seal is not None and field.name != "checksum" and rng.random() < 0.8:
        form.seal(element)
    return f"field {name} of {element.name}: {old} to {value % (1 << field.size_bits)}"


def _value(old: int, other: int, bits: int, rng: Random) -> int:
    """Draw a value: extreme, near the old one, or another element's."""
    top = 1 << bits
    extreme = rng.choice((0, 1, 2, 3, 8, top - 1, top - 2, top // 2, top // 2 - 1, 1 << 31))
    near = old + rng.choice((1, -1, 2, 10, -10, 100, -100, 1000, -1000, 90_000, -90_000))
    scaled = rng.choice((old * 2, old // 2, old * 1001 // 1000, old * 10))
    bit = old ^ 1 << rng.randrange(bits)
    return rng.choice((extreme, extreme, near, near, scaled, bit, other, rng.randrange(top)))


Mutator = Callable[[Format, Element, Random], str | None]
KINDS: dict[str, Mutator] = {
    "delete": _delete,
    "duplicate": _duplicate,
    "move": _move,
    "swap": _swap,
    "truncate": _truncate,
    "resize": _resize,
    "rename": _rename,
    "noise": _noise,
    "field": _field,
}
# Fields are most of what a demuxer reads.
DRAWN = (*KINDS, "field", "field", "field")
