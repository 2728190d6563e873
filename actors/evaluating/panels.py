"""Which models should be tried together?"""

from collections.abc import Mapping, Sequence
from itertools import count

from actors.evaluating.recorded import Marker, Question
from actors.evaluating.replay import Member
from actors.protocol.errors import ConfigError

NEIGHBOURS = (3, 5, 7)
AHEAD = 5
FOLLOWERS = 4

Panel = tuple[str, Sequence[Member]]
"""Its name and its seats."""


def accuracies(questions: Sequence[Question], models: Sequence[str], marker: Marker) -> dict[str, float]:
    """Per model the share of questions that it got right, best first."""
    found = {
        model: sum(marker.is_right(question, question.replies[model]) for question in questions) / len(questions)
        for model in models
    }
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def chosen(names: Sequence[str], known: Mapping[str, float]) -> Panel:
    """The panel of those models. Raises `ConfigError` for one that has not answered every question."""
    for name in names:
        if name not in known:
            raise ConfigError(f"'{name}' has not answered every question. These have: {', '.join(sorted(known))}.")
    return ", ".join(names), seats(names)


def suite(known: Mapping[str, float]) -> list[Panel]:
    """Panels of 3, 5 and 7 neighbours in strength, every second window of the ranking, and five with one far ahead:
    one of the five best before the four next to the weakest ones."""
    ranking = list(known)
    found: list[Panel] = []
    for size in NEIGHBOURS:
        found += [
            (f"{size} neighbours from rank {first + 1}", seats(ranking[first : first + size]))
            for first in range(0, len(ranking) - size + 1, 2)
        ]
    for best in range(min(AHEAD, len(ranking) - FOLLOWERS - 1)):
        end = len(ranking) - best
        found.append((f"rank {best + 1} far ahead", seats([ranking[best], *ranking[end - FOLLOWERS : end]])))
    return found


def of_middle_strength(panels: Sequence[Panel], known: Mapping[str, float]) -> list[str]:
    """The names of the panels of neighbours without any member of the ranking's best or weakest quarter."""
    ranking = list(known)
    quarter = len(ranking) // 4
    middle = set(ranking[quarter : len(ranking) - quarter])
    neighbours = (panel for panel in panels if "neighbours" in panel[0])
    return [name for name, members in neighbours if all(member.model in middle for member in members)]


def with_duplicates(panel: Panel, copies: int) -> Panel:
    """The panel with its last member in it `copies` times."""
    name, members = panel
    last = members[-1].model
    return f"{name}, {last} x{copies}", [*members, *seats([last] * (copies - 1), taken=[one.name for one in members])]


def seats(models: Sequence[str], taken: Sequence[str] = ()) -> list[Member]:
    """A seat for each model; a model that comes again gets a name of its own."""
    names = list(taken)
    for model in models:
        names.append(next(name for n in count(1) if (name := model if n == 1 else f"{model}#{n}") not in names))
    return [Member(name, model) for name, model in zip(names[len(taken) :], models, strict=True)]
