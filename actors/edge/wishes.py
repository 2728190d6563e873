"""What does one request want otherwise than its model is configured, and may it have that?"""

import difflib
from collections.abc import Iterable
from dataclasses import replace

from actors.edge.gateway import NO_WISHES, ChatRequest, Wishes
from actors.ensembling.merges import MERGES
from actors.protocol.errors import CallerError
from actors.protocol.patterns import PLAIN
from actors.routing.strategies import STRATEGIES
from actors.routing.table import TOGETHER, BackendRecord, ModelRecord, RoutingTable


def target_of(request: ChatRequest, table: RoutingTable) -> ModelRecord | BackendRecord:
    """The model or backend that a request names, changed as its wishes ask.

    Limits (deadline, attempts, cost) can be made tighter, never wider. Raises `UnknownModel`, and `CallerError` for
    wishes that cannot be granted, with the nearest valid name.
    """
    target = table.resolve(request.model)
    wishes = request.wishes
    if isinstance(target, BackendRecord):
        if wishes is not NO_WISHES:
            _refuse_on_backend(target, wishes)
        return target
    if wishes is not NO_WISHES:
        target = _tightened(_replayed(target, wishes), wishes)
    if target.is_ensemble and request.n > 1:
        raise CallerError(
            f"'{target.name}' is an ensemble: it gives one merged answer, so 'n' must be 1, not {request.n}.", param="n"
        )
    return target


def known_pattern(name: str, patterns: Iterable[str]) -> None:
    """Raises `CallerError` for a pattern that does not exist, with the nearest name."""
    _known(name, [PLAIN, *patterns], "pattern")


def _refuse_on_backend(backend: BackendRecord, wishes: Wishes) -> None:
    for wish in ("strategy", "merge", "quorum", "members", "min_confidence_01", "prefer"):
        if getattr(wishes, wish) is not None:
            raise CallerError(
                f"'{backend.name}' is a single backend: 'troupe.{wish}' needs a model with members.",
                param=f"troupe.{wish}",
            )


def _replayed(model: ModelRecord, wishes: Wishes) -> ModelRecord:
    strategy = _known(wishes.strategy, [*STRATEGIES, *TOGETHER], "strategy") or model.strategy
    merge = _known(wishes.merge, MERGES, "merge") or model.merge
    if merge == "synthesize" and model.judge is None:
        raise CallerError(f"'{model.name}' has no judge that could write the answer.", param="troupe.merge")
    members = model.members
    if wishes.members is not None:
        for member in wishes.members:
            _known(member, model.members, "members")
        members = wishes.members
    quorum = wishes.quorum or model.quorum
    if wishes.quorum is not None and wishes.quorum > len(members):
        raise CallerError(
            f"'troupe.quorum' is {wishes.quorum}, but '{model.name}' asks {len(members)} members.",
            param="troupe.quorum",
        )
    if quorum is not None:
        quorum = min(quorum, len(members))
    prefer, rewrite = wishes.prefer or model.prefer, wishes.rewrite or model.rewrite
    return replace(
        model, strategy=strategy, merge=merge, members=members, quorum=quorum, prefer=prefer, rewrite=rewrite
    )


def _tightened(model: ModelRecord, wishes: Wishes) -> ModelRecord:
    cost_usd = [limit for limit in (wishes.max_cost_usd, model.max_cost_usd) if limit is not None]
    return replace(
        model,
        deadline_s=min(wishes.deadline_s or model.deadline_s, model.deadline_s),
        max_attempts=min(wishes.max_attempts or model.max_attempts, model.max_attempts),
        max_cost_usd=min(cost_usd) if cost_usd else None,
        min_confidence_01=model.min_confidence_01 if wishes.min_confidence_01 is None else wishes.min_confidence_01,
    )


def _known(name: str | None, names: Iterable[str], wish: str) -> str | None:
    names = list(names)
    if name is None or name in names:
        return name
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise CallerError(
        f"'troupe.{wish}': '{name}' is not known.{hint} Available: {', '.join(names)}.", param=f"troupe.{wish}"
    )
