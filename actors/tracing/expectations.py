"""What could have been expected of those who might have answered, and of the roads that were not taken?"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from actors.protocol.messages import JsonObject
from actors.protocol.outlook import Outlook, Prospect
from actors.protocol.trust import trust_for

SHUT: Final = ("open", "revoked")


class Tokens(NamedTuple):
    """What one call of a request has used, and every other would have by the same words."""

    prompt: int
    completion: int


def with_expectations(told: JsonObject, outlook: Outlook | None) -> JsonObject:
    """An explanation with `candidates` and `roads_not_taken`, by what was known when the request was decided.

    The quality of a candidate is what was predicted of its answer to this question, else how good its answers looked
    lately. Costs in US dollars are those of the tokens that this request used at the backend that answered it;
    latencies are medians, and of several asked at once the longest; the quality of several is not known; `trust` is in
    log-odds. Unknown is `None`; both lists are empty without an outlook.
    """
    trust = _trust(told, outlook)
    foreseen = {one["name"]: one["quality_01"] for one in told["optimizer"]["predicted"]}
    prospects = {
        name: replace(prospect, quality_01=foreseen.get(name, prospect.quality_01))
        for name, prospect in _candidates(told, outlook).items()
    }
    tokens = _tokens(told)
    asked = {attempt["backend"] for attempt in told["attempts"]}
    excluded = {one["backend"]: one["reason"] for one in told["excluded"]}
    return told | {
        "outlook_version": outlook and outlook.version,
        "candidates": [
            {
                "backend": name,
                "asked": name in asked,
                "excluded": excluded.get(name),
                "breaker": prospect.state,
                "weight": round(prospect.weight, 6),
                "trust": trust.get(name),
                "expected": _expected([prospect], tokens) | {"error_rate_01": prospect.error_rate_01},
            }
            for name, prospect in prospects.items()
        ],
        "roads_not_taken": list(_roads_not_taken(prospects, asked, excluded.keys(), tokens)),
    }


def _candidates(told: JsonObject, outlook: Outlook | None) -> Mapping[str, Prospect]:
    """Those behind the model that was asked for, in its order, each with the breaker that the replica saw."""
    if outlook is None:
        return {}
    names = outlook.leaves.get(told["model"], (told["model"],))
    shut: Mapping[str, str] = told["breakers"]
    return {
        name: replace(prospect, state=prospect.state if prospect.state == "revoked" else shut.get(name, "closed"))
        for name in names
        if (prospect := outlook.prospects.get(name)) is not None
    }


def _trust(told: JsonObject, outlook: Outlook | None) -> Mapping[str, float]:
    """The log-odds that feedback gave the members of the ensemble that was asked."""
    learned = outlook.trust.get(told["model"], {}) if outlook else {}
    found = trust_for(told["optimizer"]["task_type"], learned)
    return found.weights if found else {}


def _roads_not_taken(
    prospects: Mapping[str, Prospect], asked: set[str], unable: Iterable[str], tokens: Tokens | None
) -> Iterable[JsonObject]:
    """Each candidate asked alone, and all at once, as far as that was not done and could have been."""
    out = {*unable, *(name for name, prospect in prospects.items() if prospect.state in SHUT)}
    able = {name: prospect for name, prospect in prospects.items() if name not in out}
    roads = [[name] for name in able]
    if len(able) > 1:
        roads.append(list(able))
    for road in roads:
        if set(road) != asked & prospects.keys():
            yield {"ask": road, "expected": _expected([able[name] for name in road], tokens)}


def _expected(prospects: Sequence[Prospect], tokens: Tokens | None) -> JsonObject:
    costs_usd = [None if tokens is None else prospect.cost_usd(*tokens) for prospect in prospects]
    return {
        "quality_01": prospects[0].quality_01 if len(prospects) == 1 else None,
        "cost_usd": _unless_unknown(_sum, costs_usd),
        "p50_ms": _unless_unknown(_longest, [prospect.p50_ms for prospect in prospects]),
        "p95_ms": _unless_unknown(_longest, [prospect.p95_ms for prospect in prospects]),
    }


def _tokens(told: JsonObject) -> Tokens | None:
    """Those of a call that gave the answer, else of any that were counted."""
    counted = [attempt for attempt in told["attempts"] if attempt["usage"] is not None]
    counted.sort(key=lambda attempt: attempt["backend"] != told["backend"] or attempt["outcome"] != "ok")
    if not counted:
        return None
    usage = counted[0]["usage"]
    return Tokens(usage["prompt_tokens"], usage["completion_tokens"])


def _sum(costs_usd: Sequence[float]) -> float:
    return round(sum(costs_usd), 12)


def _longest(times_ms: Sequence[float]) -> float:
    return round(max(times_ms), 3)


def _unless_unknown(join: Callable[[Sequence[float]], float], values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return join(known) if len(known) == len(values) else None
