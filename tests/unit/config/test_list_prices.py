import pytest

from actors.config.backends import OpenAIBackend
from actors.config.list_prices import list_price
from actors.routing.table import Price

OPENAI = "https://api.openai.com/v1"


def test_a_known_model_of_a_known_provider_has_its_list_price() -> None:
    assert list_price(OPENAI, "gpt-4o-mini") == Price(0.15, 0.6)


@pytest.mark.parametrize(
    ("base_url", "model"),
    [
        ("http://127.0.0.1:9000/v1", "gpt-4o-mini"),
        ("http://localhost:9000/v1", "gpt-4o-mini"),
        ("https://llm.example.org/v1", "gpt-4o-mini"),
        (OPENAI, "nobody-knows-this"),
    ],
)
def test_no_price_is_guessed(base_url: str, model: str) -> None:
    assert list_price(base_url, model) is None


def test_the_configurations_own_price_counts_before_the_list() -> None:
    settings = {"base_url": OPENAI, "model": "gpt-4o-mini"}
    own = {"input_per_mtok": 1.0, "output_per_mtok": 2.0}

    assert OpenAIBackend.model_validate(settings).record("a").price == Price(0.15, 0.6)
    assert OpenAIBackend.model_validate({**settings, "price": own}).record("a").price == Price(1.0, 2.0)
