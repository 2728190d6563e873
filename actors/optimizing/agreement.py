"""What does an ensemble teach about its members, without anybody's judgement?"""

from collections import deque
from collections.abc import Iterable
from typing import Final

from actors.protocol.messages import DecisionRecord, JsonObject
from actors.protocol.ratings import Verdict

KEPT: Final = 5_000  # votes
PICKED: Final = "best_of_n"


class Agreements:
    """The latest votes, each as if it had been judged: 1 for the answer that the panel came to, 0 for another.

    A vote that is alone with its answer and wins teaches nothing: nobody agreed. Of a judge that picks, the winner gets
    1 and the others what makes the mean 0.5, since being the best of many is no sign that the others are bad.
    """

    def __init__(self) -> None:
        self._latest: deque[Verdict] = deque(maxlen=KEPT)

    def note(self, outcomes: Iterable[DecisionRecord]) -> bool:
        """Takes votes in; whether there were any that teach."""
        taught = [verdict for outcome in outcomes if outcome.ensemble is not None for verdict in votes_of(outcome)]
        self._latest.extend(taught)
        return bool(taught)

    def restore(self, records: Iterable[JsonObject]) -> None:
        """Takes in what the journal wrote of ensembles, oldest first, in place of what was known."""
        self._latest.clear()
        for record in records:
            self._latest.extend(votes_written(record))

    def newest_first(self) -> list[Verdict]:
        return list(reversed(self._latest))


def votes_of(outcome: DecisionRecord) -> list[Verdict]:
    report = outcome.ensemble
    if report is None:
        return []
    votes = [(vote.backend, vote.answer) for vote in report.votes]
    return _taught(outcome.task_type, report.merge, report.winner, votes)


def votes_written(record: JsonObject) -> list[Verdict]:
    """The same of a record in the journal, where group numbers stand for answers."""
    report = record["ensemble"]
    votes = [(vote["backend"], None if vote["group"] is None else str(vote["group"])) for vote in report["votes"]]
    return _taught(record["task_type"], report["merge"], report["winner"], votes)


def _taught(task_type: str, merge: str, winner: str | None, votes: list[tuple[str, str | None]]) -> list[Verdict]:
    if winner is None or len(votes) < 2:
        return []
    if merge == PICKED:
        others = [backend for backend, _ in votes if backend != winner]
        if len(others) != len(votes) - 1:
            return []
        rest_01 = 0.5 - 0.5 / len(others)
        return [Verdict(task_type, winner, 1.0), *(Verdict(task_type, backend, rest_01) for backend in others)]
    final = next((answer for backend, answer in votes if backend == winner and answer is not None), None)
    if final is None or sum(answer == final for _, answer in votes) < 2:
        return []
    return [Verdict(task_type, backend, float(answer == final)) for backend, answer in votes if answer is not None]
