"""Who is to be compared, in which cases, how often and for how long?"""

import pytest

from actors.benching.cases import CASES
from actors.benching.plans import CONTESTANTS, full_plan, quick_plan
from actors.protocol.errors import LLMError


def test_the_full_plan_has_everybody_and_everything() -> None:
    plan = full_plan(rounds=4, seconds=7)

    assert list(plan.contestants) == list(CONTESTANTS)
    assert list(plan.cases) == list(CASES)
    assert (plan.rounds, plan.effort.seconds, plan.effort.chunks) == (4, 7, 200)


def test_peers_can_be_left_out() -> None:
    assert not {"litellm", "portkey"} & set(full_plan(peers=False).contestants)


def test_the_quick_plan_names_what_there_is_and_no_peer() -> None:
    plan = quick_plan()

    assert set(plan.cases) <= set(CASES)
    assert not any(CONTESTANTS[name].peer for name in plan.contestants)


def test_chosen_names_keep_their_order_in_the_tables() -> None:
    plan = full_plan().only(["portkey", "troupe"], ["c64", "c1"])

    assert list(plan.contestants) == ["troupe", "portkey"]
    assert list(plan.cases) == ["c1", "c64"]


def test_without_a_choice_the_plan_stays() -> None:
    assert quick_plan().only(None, []) == quick_plan()


@pytest.mark.parametrize(("contestants", "cases"), [(["nginx"], None), (None, ["c7"])])
def test_an_unknown_name_is_refused_with_those_that_there_are(
    contestants: list[str] | None, cases: list[str] | None
) -> None:
    with pytest.raises(LLMError, match=r"There is no .* '(nginx|c7)'; there are: "):
        full_plan().only(contestants, cases)
