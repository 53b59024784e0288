"""Reading YAML that nobody vouches for."""

import pytest

from eventsource_operator.cli import manifests
from eventsource_operator.cli.manifests import ManifestError, read_event_sources

HEAD = "apiVersion: eventsource-operator.dev/v1alpha1\nkind: EventSource\nmetadata: {name: a}\n"
BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
)


def read(text: str) -> tuple[list[manifests.Document], int]:
    return read_event_sources(text.encode(), "file", "home")


def test_documents_lists_and_others() -> None:
    listed = "kind: List\napiVersion: v1\nitems:\n- {apiVersion: v1, kind: ConfigMap}\n- " + HEAD.replace(
        "\n", "\n  "
    )
    text = f"{HEAD}spec: {{watch: [{{}}]}}\n---\n---\n{listed}spec: {{watch: [{{}}]}}\n"
    found, others = read(text)
    assert [(each.source and each.source.namespace, each.error) for each in found] == [("home", None)] * 2
    assert others == 1


def test_an_anchor_that_is_used_twice_is_fine() -> None:
    found, _ = read(f"{HEAD}spec:\n  watch:\n  - &t {{names: [a]}}\n  - <<: *t\n    fields: [data]\n")
    source = found[0].source
    assert source is not None
    assert [target.names for target in source.spec.watch] == [("a",), ("a",)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BOMB, "comes to more than 100000 values"),
        (
            BOMB.replace("[", "{<<: [").replace("]", "]}").replace("[x,x,x,x,x,x,x,x,x,x]", "{y: 1}"),
            "more than 100000",
        ),
        ("a: &a [*a]", "an alias holds itself"),
        ("a: [" * 150 + "]" * 150, "nests deeper than 100 levels"),
        ("[" * 50_000, "nests deeper than 100 levels"),
        ("a: 1\nb: 2\na: 3", "line 3, column 1: the key 'a' comes twice"),
        ("? [a]\n: b", "line 1, column 3: a key must be a text"),
        ("a: !!python/object/apply:os.system [id]", "could not determine a constructor"),
        ("a: b: c", "line 1, column 5: mapping values are not allowed here"),
        ("a: \x1b[2J", "is not YAML: unacceptable character"),
        ("a: *nope", "found undefined alias"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text: str, says: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read(text)
    assert says in str(caught.value)
    assert str(caught.value).isprintable()


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(ManifestError, match="not UTF-8"):
        read_event_sources(b"\xff\xfe\xff", "file", "home")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("- a", "document"),
        (f"{HEAD}", "spec"),
        (f"{HEAD}spec: {{watch: [{{names: [2024-01-01]}}], suspend: maybe}}", "spec.suspend"),
        ("apiVersion: argoproj.io/v1alpha1\nkind: EventSource", "apiVersion"),
        ("apiVersion: eventsource-operator.dev/v1alpha1\nkind: Eventsource", "kind"),
        ("metadata: {name: a}", "apiVersion"),
        (f"{HEAD}spec: {{watch: [{{1: 2}}]}}", "spec.watch[0].1"),
    ],
)
def test_half_an_eventsource_is_judged_not_passed_over(text: str, field: str) -> None:
    found, others = read(text)
    assert others == 0
    error = found[0].error
    assert error is not None
    assert error.field == field
