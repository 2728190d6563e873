import pytest

from actors.config.document import MAX_VALUES, Document, Unreadable, read_document
from actors.config.problems import FromEnv, Place, path_text

ENVIRONMENT = {"PORT": "8000", "EMPTY": "", "API_KEY": "s3cret"}


def read(text: str) -> Document:
    return read_document(text, ENVIRONMENT)


def findings(text: str) -> list[tuple[str, str]]:
    return [(path_text(one.path), one.message) for one in read(text).findings]


def test_values_are_those_of_yaml() -> None:
    text = "a: 1\nb: [x, 2.5, true, null]\nc: {d: 'no'}\n"

    assert read(text).root == {"a": 1, "b": ["x", 2.5, True, None], "c": {"d": "no"}}


def test_a_scalar_stands_where_it_is_and_a_mapping_where_its_key_is() -> None:
    document = read("server:\n  port: 80\n  keys:\n    - one\n    - two\n")

    assert document.places[("server",)] == Place(1, 1)
    assert document.places[("server", "port")] == Place(2, 9)
    assert document.keys[("server", "port")] == Place(2, 3)
    assert document.places[("server", "keys", 1)] == Place(5, 7)


def test_a_variable_is_resolved_wherever_a_string_stands() -> None:
    document = read("a: env:PORT\nb: [env:PORT, {c: 'env:PORT'}]\n")

    assert document.root == {"a": "8000", "b": ["8000", {"c": "8000"}]}
    assert isinstance(document.value(("b", 1, "c")), FromEnv)
    assert document.findings == []


def test_a_missing_variable_gets_the_nearest_name() -> None:
    document = read("a: env:API_KEYS\n")

    (one,) = document.findings
    assert (one.message, one.suggestion) == ("the environment variable API_KEYS is not set", "API_KEY")
    assert document.is_broken(("a",))
    assert not document.is_broken(())


def test_an_empty_variable_is_a_problem() -> None:
    assert findings("a: env:EMPTY\n") == [("a", "the environment variable EMPTY is empty")]


@pytest.mark.parametrize("text", ["env:", "env:1X", "env:A B", "env:sk-abc"])
def test_what_is_no_name_of_a_variable_is_a_problem_and_not_repeated(text: str) -> None:
    assert findings(f"a: '{text}'\n") == [("a", "'env:' must be followed by the name of an environment variable")]


def test_keys_are_not_read_from_the_environment() -> None:
    assert read("env:PORT: 1\n").root == {"env:PORT": 1}


def test_a_key_twice_is_reported_with_both_places() -> None:
    (one,) = read("a: 1\nb: 2\na: 3\n").findings

    assert one.message == "the same key again; the first is in line 1, column 1"
    assert one.place == Place(3, 1)


@pytest.mark.parametrize("key", ["on", "1", "1.5", "null", "2026-01-01", "~", "yes"])
def test_a_key_that_is_no_text_is_a_problem(key: str) -> None:
    assert findings(f"{key}: x\n") == [("", f"the key '{key}' is no text in YAML; put it in quotes")]


def test_a_key_that_is_a_list_is_a_problem() -> None:
    assert findings("[a, b]: 1\n") == [("", "a list or mapping cannot be a key")]


def test_in_a_script_keys_are_words_even_if_yaml_takes_them_for_flags() -> None:
    document = read("backends: {a: {script: {faults: [{on: 3}]}}}\n")

    assert document.value(("backends", "a", "script")) == {"faults": [{"on": 3}]}
    assert document.findings == []


def test_anchors_aliases_and_merge_keys_work() -> None:
    document = read("a: &a {x: 1, y: {z: 1}}\nb: {<<: *a, x: 2}\nc: *a\nd: {<<: [{y: 5}, *a]}\n")

    assert document.root == {
        "a": {"x": 1, "y": {"z": 1}},
        "b": {"y": {"z": 1}, "x": 2},
        "c": {"x": 1, "y": {"z": 1}},
        "d": {"x": 1, "y": 5},
    }
    assert document.places[("b", "y", "z")] == Place(1, 21)
    assert document.findings == []


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: *a}", "a: &a {b: {<<: *a}}", "a: &a {<<: *a}"])
def test_an_alias_within_its_own_anchor_is_a_problem(text: str) -> None:
    assert len(findings(text)) == 1


def test_aliases_of_aliases_cannot_fill_the_memory() -> None:
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 9))

    with pytest.raises(Unreadable, match=f"{MAX_VALUES:,} values"):
        read("l0: &l0 [x]\n" + levels)


@pytest.mark.parametrize("text", ["[" * 3000, "a: " + "{b: " * 3000 + "}" * 3000])
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(Unreadable, match="nests too deeply"):
        read(text)


@pytest.mark.parametrize(
    "value",
    ["2026-13-45", "9" * 5000, "!!python/object:os.system x", "!secret x", "!!bool maybe", "!!int ''", "!!timestamp x"],
)
def test_a_scalar_that_yaml_cannot_build_is_a_problem_of_its_place(value: str) -> None:
    document = read(f"a: {value}\nb: 1\n")

    (one,) = document.findings
    assert one.path == ("a",)
    assert document.value(("b",)) == 1


@pytest.mark.parametrize("value", ["!!set {a}", "!custom {a: 1}", "!custom [a]", "!!omap [a: 1]"])
def test_a_tag_that_means_nothing_here_is_a_problem(value: str) -> None:
    assert findings(f"a: {value}\n") == [("a", "has a tag that means nothing here")]


@pytest.mark.parametrize("text", ["", " \n", "# nothing\n"])
def test_an_empty_text_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable, match="the file is empty"):
        read(text)


def test_a_syntax_error_has_its_place() -> None:
    with pytest.raises(Unreadable) as caught:
        read("a: 1\nb: [1, 2\nc: 3\n")

    assert caught.value.place == Place(3, 2)


def test_two_documents_are_refused() -> None:
    with pytest.raises(Unreadable, match="expected a single document"):
        read("a: 1\n---\nb: 2\n")


def test_a_control_character_has_its_place() -> None:
    with pytest.raises(Unreadable) as caught:
        read("a: 1\nb: \x00\n")

    assert caught.value.place == Place(2, 4)


@pytest.mark.parametrize("value", ["*s3cret", "!s3cret!x y", "[s3cret", "@s3cret", "%s3cret", "'s3cret", "a: s3cret"])
def test_a_syntax_error_does_not_quote_the_text(value: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read(f"key: {value}\n")

    assert "s3cret" not in caught.value.message
