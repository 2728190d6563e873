"""Who is asked next when one has failed, and what is the caller told when all have?"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import itemgetter

from actors.orchestrating.scene import Scene
from actors.protocol.errors import CallerError, LLMRouterError
from actors.protocol.messages import Failure
from actors.routing.capabilities import needs_of
from actors.routing.strategies import LocalView, order, rested_first
from actors.routing.table import ModelRecord
from actors.tracing.spans import TracedSection

LONGEST_REST_S = 60.0  # so that a limit that was lifted early, or never meant, is found out
SPREAD_S = 0.2  # so that those who were refused together do not come back together
OF_OUR_MAKING = ("deadline_exceeded", "attempts_exhausted")


ORDERING = TracedSection("router", "order")


class FailoverHandler:
    """Goes through a model's members in the order of its strategy, for one request.

    Left out are those that cannot take the request, and those that what happened before makes pointless. As long as
    members are left, retries leave one attempt for each of them. Backends that asked to be left alone come last, by
    any request. One that asks for a long wait is asked again after all others have failed; `wait_s` says how long to
    wait before asking the member that was just given. Members with open breakers are the last resort.
    """

    def __init__(self, model: ModelRecord, scene: Scene, view: LocalView) -> None:
        self._model = model
        self._scene = scene
        self._view = view
        view.task_type, view.features = scene.task.task_type, scene.features
        with ORDERING:
            self._members: Sequence[str] = order(model, scene.table, view)
        if model.strategy == "learned":
            scene.propensity_01, scene.explored = view.propensity_01, view.explored
            scene.predicted = view.predicted
        self._postponed: dict[str, float] = {}
        self._worst: Failure | None = None
        self.wait_s = 0.0

    def __iter__(self) -> Iterator[str]:
        scene = self._scene
        if self._view.resting:
            self._members = rested_first(self._members, scene.table, self._view, scene.clock.monotonic_s())
        members = capable(self._members, scene)
        kept = 0  # of the attempts that the whole request keeps; other groups of it keep theirs at the same time
        try:
            for place, name in enumerate(members):
                if not any(scene.may_ask(scene.table.backends[leaf]) for leaf in scene.table.leaves(name)):
                    continue
                left = len(members) - place - 1
                scene.budget.kept += left - kept
                kept = left
                scene.report = None  # that of a member which failed
                yield name
        finally:
            scene.budget.kept -= kept
        for name, until_s in sorted(self._postponed.items(), key=itemgetter(1)):
            self.wait_s = max(0.0, until_s - scene.clock.monotonic_s()) + self._view.rng.uniform(0.0, SPREAD_S)
            if scene.budget.left and self.wait_s < scene.deadline.time_left_s():
                yield name
        self.wait_s = 0.0
        for name in self._shut():
            if scene.budget.left:
                yield name

    def _shut(self) -> Iterator[str]:
        """Members whose breakers are open: to be asked only when all others have failed."""
        table = self._scene.table
        for name in capable([name for name in self._model.members if name not in self._members], self._scene):
            leaves = [table.backends[leaf] for leaf in table.leaves(name)]
            if any(not leaf.is_revoked and self._scene.may_ask(leaf) for leaf in leaves):
                yield name

    def is_final(self, failure: Failure) -> bool:
        """Takes note of a member's failure; true if every other member would refuse the same."""
        self._scene.learn(failure)
        self._worst = more_telling(self._worst, failure)
        if failure.retry_after_s:
            self._let_rest(failure, failure.retry_after_s)
        return is_final(failure)

    def _let_rest(self, failure: Failure, wait_s: float) -> None:
        backend = self._scene.table.backends.get(failure.backend)
        if backend is None:
            return
        now_s = self._scene.clock.monotonic_s()
        self._view.resting[backend.name] = now_s + min(wait_s, LONGEST_REST_S)
        if wait_s > self._scene.longest_wait_s and backend.max_retries > 0 and not backend.hosted:
            self._postponed.setdefault(backend.name, now_s + wait_s)

    def failure(self) -> Failure:
        """What became of all of them, when none has answered."""
        if self._worst is not None:
            return self._worst
        if self._scene.excluded:
            return _unable(self._model, self._scene)
        error = LLMRouterError(f"No member of '{self._model.name}' can take this request now.")
        return Failure.of(error, self._model.name, 0.0)


def capable(members: Sequence[str], scene: Scene) -> Sequence[str]:
    """The members that can take the request; why the others cannot is put into the scene."""
    table = scene.table
    needs = needs_of(scene.body)
    able = []
    for name in members:
        lacks = [needs.unmet_by(table.backends[leaf]) for leaf in table.leaves(name)]
        if all(lacks):
            scene.excluded[name] = lacks[0] or ""
        else:
            able.append(name)
    return able


def is_final(failure: Failure) -> bool:
    """Whether every other member would refuse the same: the caller's own mistake, but not a too long prompt."""
    return not failure.retryable and 400 <= failure.status < 500 and failure.code != "context_length_exceeded"


def more_telling(known: Failure | None, new: Failure) -> Failure:
    """The failure to report when all failed: what a backend said, rather than that time, money or tries ran out.

    When to come again is the smallest wait that any of them asked for.
    """
    told = known if known is not None and new.code in OF_OUR_MAKING else new
    waits_s = [failure.retry_after_s for failure in (known, new) if failure and failure.retry_after_s is not None]
    return replace(told, retry_after_s=min(waits_s)) if waits_s else told


def _unable(model: ModelRecord, scene: Scene) -> Failure:
    reasons = "; ".join(f"'{name}': {why}" for name, why in scene.excluded.items())
    error = CallerError(f"No member of '{model.name}' can take this request ({reasons}).", code="unsupported")
    return Failure.of(error, model.name, 0.0)
