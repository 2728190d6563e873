"""Do the parts of a configuration fit together?

Works on plain mappings that need not be valid otherwise, so that a bad number in one place hides nothing in another:
what has the wrong type is passed over, the schema reports it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from actors.config.problems import Finding, FromEnv, KeyPath, listed, nearest, shown
from actors.protocol.hosts import is_loopback

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}")  # names go into URLs, headers and actor names

Section = Mapping[str, object]


def inconsistencies(config: Section) -> list[Finding]:
    """What does not fit together in a configuration, given as its mapping of sections."""
    backends, models = _section(config, "backends"), _section(config, "models")
    names = list(dict.fromkeys([*backends, *models]))
    return [
        *_open_door(_section(config, "server")),
        *_key_clashes(_section(config, "server")),
        *_bad_names(backends, models),
        *(found for name in models for found in _misfits_of_model(name, _section(models, name), names)),
        *_cycles({name: _references(name, _section(models, name)) for name in models}),
    ]


def api_key_name(index: int, given: object) -> object:
    """The name of the API key at an index from 0: its own, or `key-1`, `key-2`, ..."""
    own = given.get("name") if isinstance(given, Mapping) else None
    return f"key-{index + 1}" if own is None else own


def _open_door(server: Section) -> Iterator[Finding]:
    host = server.get("host")
    if isinstance(host, str) and not is_loopback(host) and not server.get("api_keys"):
        yield Finding(
            ("server", "host"),
            f"{shown(host)} can be reached from other machines, so server.api_keys must hold at least one key",
        )


def _key_clashes(server: Section) -> Iterator[Finding]:
    names: dict[object, int] = {}
    secrets: dict[object, int] = {}
    for index, given in enumerate(_sequence(server.get("api_keys"))):
        path: KeyPath = ("server", "api_keys", index)
        name = api_key_name(index, given)
        secret = _text(given.get("key") if isinstance(given, Mapping) else given)
        if isinstance(name, str) and names.setdefault(name, index) != index:
            yield Finding(path, f"the name {shown(name)} is already that of server.api_keys[{names[name]}]")
        if secret is not None and secrets.setdefault(secret, index) != index:
            yield Finding(path, f"this is the same key as server.api_keys[{secrets[secret]}]")


def _bad_names(backends: Section, models: Section) -> Iterator[Finding]:
    for section, names in (("backends", backends), ("models", models)):
        for name in names:
            if name.startswith("env:"):
                yield Finding((section, name), "names are not read from the environment, only values are")
            elif not NAME.fullmatch(name):
                yield Finding(
                    (section, name),
                    "a name begins with a letter or digit and has up to 128 letters, digits and . _ : / @ + -",
                )
    for name in models:
        if name in backends:
            yield Finding(("models", name), "a backend has the same name; callers could not tell them apart")


def _misfits_of_model(name: str, model: Section, names: Sequence[str]) -> Iterator[Finding]:
    for path, reference in _references(name, model):
        if reference not in names:
            yield _unknown(path, reference, names)
    members = _sequence(model.get("members"))
    first: dict[object, int] = {}
    for index, member in enumerate(members):
        if isinstance(member, str) and first.setdefault(member, index) != index:
            message = f"{shown(member)} is already a member: models.{name}.members[{first[member]}]"
            yield Finding(("models", name, "members", index), message)
    samples = (_whole(model.get("samples")) or 5) if model.get("merge") == "self_consistency" else 1
    if model.get("strategy") == "ensemble" and model.get("merge") == "synthesize" and not model.get("judge"):
        yield Finding(("models", name), "merge 'synthesize' needs a 'judge': the model that writes the answer")
    if model.get("strategy") in ("ensemble", "cascade", "pipeline") and len(members) * samples == 1:
        article = "an ensemble" if model["strategy"] == "ensemble" else f"a {model['strategy']}"
        yield Finding(("models", name, "members"), f"{article} needs at least 2 members, found 1")
    if model.get("verifier") is not None and (model.get("strategy"), model.get("merge")) != ("ensemble", "best_of_n"):
        yield Finding(("models", name, "verifier"), "code is run for strategy 'ensemble' with merge 'best_of_n' alone")
    merge = model.get("merge", "weighted_consensus")
    if model.get("stream_leader") is True and (
        model.get("strategy") != "ensemble" or merge not in ("weighted_consensus", "majority_vote")
    ):
        message = "a leader is streamed by strategy 'ensemble' with merge 'weighted_consensus' or 'majority_vote' alone"
        yield Finding(("models", name, "stream_leader"), message)
    quorum = _whole(model.get("quorum"))
    if quorum is not None and quorum > len(members) * samples > 0:
        given = shown(model["quorum"])
        message = f"must be at most {len(members) * samples}, the number of members; found {given}"
        yield Finding(("models", name, "quorum"), message)


def _unknown(path: KeyPath, reference: str, names: Sequence[str]) -> Finding:
    others = [name for name in names if name != path[1]]
    message = f"no backend or model is called {shown(reference)}"
    near = None if isinstance(reference, FromEnv) else nearest(reference, others)
    if near is None and others:
        message += f"; there are {listed(others)}"
    return Finding(path, message, near)


def _references(name: str, model: Section) -> list[tuple[KeyPath, str]]:
    """The names that a model refers to, each with its place."""
    members: list[tuple[KeyPath, str]] = [
        (("models", name, "members", index), member)
        for index, member in enumerate(_sequence(model.get("members")))
        if isinstance(member, str)
    ]
    judge = model.get("judge")
    return [*members, (("models", name, "judge"), judge)] if isinstance(judge, str) else members


def _cycles(references: Mapping[str, Sequence[tuple[KeyPath, str]]]) -> Iterator[Finding]:
    """Each cycle once, at the reference that closes it."""
    graph = {
        model: {target: path for path, target in reversed(found) if target in references}
        for model, found in references.items()
    }
    while True:
        try:
            TopologicalSorter(graph).prepare()
            return
        except CycleError as error:
            cycle: list[str] = error.args[1][::-1]  # reversed, each refers to the next; the first is also the last
        path = graph[cycle[-2]].pop(cycle[-1])
        yield Finding(path, f"a model cannot lead back to itself: {' -> '.join(cycle)}")


def _section(parent: Section, key: str) -> Section:
    found = parent.get(key)
    return found if isinstance(found, Mapping) else {}


def _sequence(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()


def _text(value: object) -> object:
    """A secret as comparable text; `None` for what is none."""
    get = getattr(value, "get_secret_value", None)
    revealed = get() if get else value
    return revealed if isinstance(revealed, str) and revealed else None


def _whole(value: object) -> int | None:
    """A whole number, also one that came as text or as 3.0."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return int(number) if number.is_integer() else None
