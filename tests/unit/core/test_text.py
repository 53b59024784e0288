"""Untrusted text: what is shown cannot command a terminal, break a line or split a header."""

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsource_operator.core.text import clean, header_value, in_namespace

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("größer 日本", "größer 日本"),
        ("two\r\nlines\tand a tab", "two  lines and a tab"),
        ("a\x00b", "a\N{REPLACEMENT CHARACTER}b"),
        ("\x1b[31;1mred\x1b[0m", "\N{REPLACEMENT CHARACTER}red\N{REPLACEMENT CHARACTER}"),
        ("\x1b]0;title\x07x", "\N{REPLACEMENT CHARACTER}x"),
        ("abc\N{RIGHT-TO-LEFT OVERRIDE}def", "abc\N{REPLACEMENT CHARACTER}def"),
        ("line\N{LINE SEPARATOR}end", "line end"),
        ("lone \ud800", "lone \N{REPLACEMENT CHARACTER}"),
    ],
)
def test_what_does_not_print_is_replaced(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_long_text_ends_in_an_ellipsis() -> None:
    assert clean("abcdef", 6) == "abcdef"
    assert clean("abcdefg", 6) == "abcde\N{HORIZONTAL ELLIPSIS}"
    assert len(clean("x" * 5000)) == 1024


@given(ANY_TEXT, st.integers(1, 40))
def test_cleaned_text_prints_and_is_bounded(text: str, limit: int) -> None:
    shown = clean(text, limit)
    assert shown.isprintable()
    assert len(shown) <= limit
    assert clean(shown, limit) == shown


@pytest.mark.parametrize(
    ("namespace", "told"),
    [("team-a", "in namespace team-a"), ("", "in all namespaces"), (None, "in all namespaces")],
)
def test_where_something_is(namespace: str | None, told: str) -> None:
    assert in_namespace(namespace) == told


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("team-a/app-config", "team-a/app-config"),
        ("", ""),
        ("50%", "50%25"),
        ("é", "%C3%A9"),
        ("a\r\nX-Evil: 1", "a%0D%0AX-Evil: 1"),
        (" a b ", "%20a b%20"),
        ("  ", "%20%20"),
    ],
)
def test_header_values(text: str, value: str) -> None:
    assert header_value(text) == value


@given(st.text(max_size=40))
def test_a_header_value_is_safe_and_can_be_read_back(text: str) -> None:
    value = header_value(text)
    value.encode("latin-1")
    assert value.isascii()
    assert value.isprintable()
    assert value == value.strip()
    assert unquote(value) == text


@given(ANY_TEXT)
def test_no_text_breaks_a_header(text: str) -> None:
    assert header_value(text).isprintable()
