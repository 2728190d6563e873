"""What does a known provider ask for a model, where the configuration does not say?"""

import ipaddress
from urllib.parse import urlsplit

from actors.routing.table import Price

MTOK = 1_000_000


def list_price(base_url: str, model: str) -> Price | None:
    """The public list price, from a table that is installed with us; `None` for an unknown address or model.

    Discounts for cached tokens, batches and long prompts are not considered.
    """
    if not _is_public(base_url):
        return None
    from genai_prices import Usage, calc_price  # a quarter of a second, which other gateways need not spend

    try:
        asked, said = (
            calc_price(usage, model, provider_api_url=base_url)
            for usage in (Usage(input_tokens=MTOK), Usage(output_tokens=MTOK))
        )
    except LookupError:
        return None
    return Price(float(asked.total_price), float(said.total_price))


def _is_public(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "." in host
    return False
