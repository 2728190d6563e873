"""Which names does a caller see?"""

import pytest
from openai import NotFoundError, OpenAI


def test_every_model_and_backend_is_listed_models_first(client: OpenAI) -> None:
    names = [model.id for model in client.models.list()]

    assert {"company", "first", "right", "far"} <= set(names)
    assert names.index("company") < names.index("right")
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("name", "kind", "detail"), [("first", "strategy", "failover"), ("far", "provider", "openai")])
def test_a_name_says_what_is_behind_it(client: OpenAI, name: str, kind: str, detail: str) -> None:
    model = client.models.retrieve(name)

    assert (model.id, model.object, model.owned_by) == (name, "model", "troupe")
    assert model.created > 1_700_000_000
    assert model.model_extra is not None
    assert model.model_extra["troupe"][kind] == detail


def test_an_unknown_name_is_a_404_with_the_nearest_ones(client: OpenAI) -> None:
    with pytest.raises(NotFoundError) as refused:
        client.models.retrieve("compny")

    assert refused.value.code == "model_not_found"
    assert "Did you mean 'company'" in refused.value.message
