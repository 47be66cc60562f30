"""Show text of unknown origin safely: on a terminal in one line, and as one cell of a CSV table.

Names of files hold anything but `/` and NUL: line feeds, escape sequences that colour or clear a
terminal, marks that reverse the order of letters, and formulas.
"""

from typing import Any

# A cell that begins like this, after spaces and quotes, is a formula for some spreadsheet: also in
# the full width of East Asian keyboards.
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# Characters that a spreadsheet skips before a formula.
BEFORE_FORMULA = " \u00a0\u3000'\""


def printable(text: str) -> str:
    """Return the text with what cannot be printed as `\\n`, `\\x1b` or `\\u202e`, in one line."""
    if text.isprintable():
        return text
    return "".join(letter if _is_safe(letter) else _escaped(letter) for letter in text)


def csv_cell(value: Any, before: str = "'") -> Any:
    """Return the value of a CSV cell; text is one line, and no formula for a spreadsheet.

    Args:
        value: text, or a number, which is returned as it is.
        before: put before text that would be a formula; `./` keeps the name of a file.
    """
    if not isinstance(value, str):
        return value
    text = printable(value)
    return before + text if text.lstrip(BEFORE_FORMULA).startswith(FORMULA) else text


def _is_safe(letter: str) -> bool:
    # The space of East Asian names is not printable for Python.
    return letter.isprintable() or letter == "\u3000"


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
