"""Sphinx settings; `make docs` builds the site into `docs/_build`."""

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

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


# A class is indexed once: the template says `:no-index:` where it is exported again.
autosummary_context = {"exported_again": _exported_again()}


def setup(app: Any) -> None:
    """Connect the hooks below."""
    # Before napoleon, which runs at 500.
    app.connect("autodoc-process-docstring", plain_text_to_rst, priority=400)
    app.connect("autodoc-skip-member", skip_fields_of_tuples)


def plain_text_to_rst(app: Any, what: str, name: str, obj: Any, options: Any, lines: list) -> None:
    """Escape a docstring: it is plain text in which backticks and indented examples are code."""
    paragraphs = "\n".join(lines).split("\n\n")
    for k, paragraph in enumerate(paragraphs):
        example = all(line.startswith("    ") for line in paragraph.split("\n"))
        if example and k and not _SECTION.match(paragraphs[k - 1]):
            paragraphs[k] = f"::\n\n{paragraph}"
        else:
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


def skip_fields_of_tuples(
    app: Any, what: str, name: str, obj: Any, skip: bool, options: Any
) -> bool | None:
    """Leave out the fields of a NamedTuple, which have no text of their own."""
    return True if (getattr(obj, "__doc__", "") or "").startswith("Alias for field") else None
