import pytest

from avsync.escaping import csv_cell, printable


def test_what_can_be_printed_stays_as_it_is():
    for text in ("a b [red].mp4", "\u540d\u524d\u3000\uff5e.mp4", "caf\u00e9", "a\\b"):
        assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\x1b]0;title\x07b", "a\\x1b]0;title\\x07b"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u202egpj.exe", "a\\u202egpj.exe"),
        ("\u2066a\u2069\u200f", "\\u2066a\\u2069\\u200f"),
        ("a\r\n\tb\x7f", "a\\r\\n\\tb\\x7f"),
        ("a\udcffb\U000e0041", "a\\udcffb\\U000e0041"),
    ],
)
def test_what_moves_the_cursor_or_the_letters_is_shown_as_an_escape(text, shown):
    assert printable(text) == shown
    assert printable(shown) == shown
    assert shown.isascii()


@pytest.mark.parametrize(
    "text", ["=1", "+1", "-1", "@a", "  =1", "'=1", '"=1', "\uff1d1", "\uff0b1", "\u3000\uff201"]
)
def test_no_text_is_a_formula_and_numbers_are_numbers(text):
    assert csv_cell(text) == f"'{text}"
    assert csv_cell(text, "./") == f"./{text}"
    assert csv_cell(-61.0) == -61.0
    assert csv_cell("\t=1") == "\\t=1"
    assert csv_cell(f"a{text}") == f"a{text}"
