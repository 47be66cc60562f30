"""Sphinx settings; `make docs` builds the site into `docs/_build`."""

import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType, UnionType
from typing import Any, get_origin

from avsync import __version__

project = "avsync"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"avsync {release}"
exclude_patterns = ["_build"]
templates_path = ["_templates"]
myst_heading_anchors = 3

# The public names of a package are those of its `__all__`, wherever they are defined.
autosummary_ignore_module_all = False
autosummary_imported_members = True
napoleon_custom_sections = ["Source"]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "no-value": True}

# The packages that api/index.md lists.
_INDEX = Path(__file__).parent / "api" / "index.md"
_PACKAGES = re.findall(r"^   (avsync[\w.]*)$", _INDEX.read_text("utf-8"), re.MULTILINE)
_CODE = re.compile(r"(`+)(.+?)\1", re.DOTALL)
_ANNOTATED = re.compile(r"~?(?:typing\.)?Annotated\[")
_SECTION = re.compile(r"[A-Z][a-z]+:\n")


def _exported_again() -> set[str]:
    """Return the full names of classes that an earlier package of the index exports as well."""
    seen: set[type] = set()
    again = set()
    for package in _PACKAGES:
        module = importlib.import_module(package)
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if inspect.isclass(value) and value in seen:
                again.add(f"{package}.{name}")
            elif inspect.isclass(value):
                seen.add(value)
    return again


def _modules() -> set[str]:
    """Return the full names of the modules that the packages export."""
    pairs = ((package, importlib.import_module(package)) for package in _PACKAGES)
    return {
        f"{package}.{name}"
        for package, module in pairs
        for name in getattr(module, "__all__", ())
        if isinstance(getattr(module, name), ModuleType)
    }


# A class is indexed once: the template says `:no-index:` where it is exported again.
autosummary_context = {"exported_again": _exported_again(), "exported_modules": _modules()}


def setup(app: Any) -> None:
    """Connect the hooks below."""
    # Before napoleon, which runs at 500.
    app.connect("autodoc-process-docstring", plain_text_to_rst, priority=400)
    app.connect("autodoc-process-docstring", describe_constants, priority=300)
    app.connect("autodoc-process-signature", shorten_signature)
    app.connect("autodoc-skip-member", skip_fields_of_tuples)


def plain_text_to_rst(app: Any, what: str, name: str, obj: Any, options: Any, lines: list) -> None:
    """Escape a docstring: it is plain text in which backticks and indented examples are code."""
    paragraphs = "\n".join(lines).split("\n\n")
    section, code = False, False
    for k, paragraph in enumerate(paragraphs):
        if not section and all(line.startswith("    ") for line in paragraph.split("\n")):
            paragraphs[k] = paragraph if code else f"::\n\n{paragraph}"
            code = True
            continue
        section, code = _SECTION.match(paragraph) is not None, False
        paragraphs[k] = _with_literals(paragraph)
    lines[:] = "\n\n".join(paragraphs).split("\n")


def _with_literals(text: str) -> str:
    """Return the text with its code in double backticks, the rest escaped."""
    parts = []
    at = 0
    for code in _CODE.finditer(text):
        # A word joiner keeps a full stop in code from ending the one-line summary.
        literal = re.sub(r"\.(?=\s)", ".\N{WORD JOINER}", code[2])
        parts += [_escaped(text[at : code.start()]), rf"``{literal}``\ "]
        at = code.end()
    return "".join([*parts, _escaped(text[at:])])


def _escaped(text: str) -> str:
    return re.sub(r"[*|`\\]|(?<=\w)_(?!\w)", r"\\\g<0>", text)


def describe_constants(app: Any, what: str, name: str, obj: Any, options: Any, lines: list) -> None:
    """Describe a constant by its value, in place of the docstring of `dict` or `int`."""
    if what != "data":
        return
    if isinstance(obj, UnionType):
        lines[:] = [f"Alias of `{' | '.join(part.__name__ for part in obj.__args__)}`."]
    elif get_origin(obj) is not None:
        lines[:] = ["Type alias."]  # Sphinx says of what
    else:
        value = repr(obj)
        short = len(value) <= 100 and " at 0x" not in value and "`" not in value
        of_type = f"Constant of type `{type(obj).__name__}`."
        lines[:] = [f"Constant, `{value}`." if short else of_type]


def shorten_signature(
    app: Any, what: str, name: str, obj: Any, options: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    """Leave out the annotations for the command line, and what the signature of a protocol has."""
    if what == "class" and getattr(obj, "_is_protocol", False):
        return "", ""
    return None if signature is None else (_without_annotated(signature), returns)


def _without_annotated(text: str) -> str:
    """Return a signature with `T` in place of each `Annotated[T, ...]`."""
    while found := _ANNOTATED.search(text):
        depth, comma, end = 1, None, found.end()
        while depth:
            depth += {"[": 1, "(": 1, "]": -1, ")": -1}.get(text[end], 0)
            if text[end] == "," and depth == 1 and comma is None:
                comma = end
            end += 1
        text = text[: found.start()] + text[found.end() : comma] + text[end:]
    return text


def skip_fields_of_tuples(
    app: Any, what: str, name: str, obj: Any, skip: bool, options: Any
) -> bool | None:
    """Leave out the fields of a NamedTuple, which have no text of their own."""
    return True if (getattr(obj, "__doc__", "") or "").startswith("Alias for field") else None
