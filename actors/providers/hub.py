"""How does a file come from a model hub or mirror, going on where an earlier try stopped?"""

import os
from collections.abc import Callable
from pathlib import Path

import httpx

from actors.protocol.errors import CatalogueError

HUB_VARIABLE = "TROUPE_MODEL_HUB"
TIMEOUT = httpx.Timeout(30.0, connect=10.0)


class HubFailure(Exception):
    """The hub did not give the file; the message holds no address, for that may hold a credential."""


def configured(hub: str | None) -> str | None:
    """The hub's base URL: `hub`, else `TROUPE_MODEL_HUB`, else `None`. Raises `CatalogueError` if it is no URL."""
    url = (hub or os.environ.get(HUB_VARIABLE) or "").strip().rstrip("/")
    if url and not url.startswith(("http://", "https://")):
        raise CatalogueError(f"{HUB_VARIABLE} must be a base URL that begins with http:// or https://.")
    return url or None


def download(hub: str, repo: str, file_name: str, part: Path, size_bytes: int, on_bytes: Callable[[int], None]) -> None:
    """Brings `part` to `size_bytes`, from where it ends now. Raises `HubFailure`; what came so far stays in `part`.

    More than `size_bytes` are not read: the caller's checksum finds such a file wrong.
    """
    done = part.stat().st_size if part.exists() else 0
    if done == size_bytes:
        return
    url = f"{hub}/{repo}/resolve/main/{file_name}"
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={done}-"} if done else {})
    try:
        with (
            httpx.Client(timeout=TIMEOUT, follow_redirects=True) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            done = _save(response, part, done, size_bytes, on_bytes)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise HubFailure(type(error).__name__) from error
    if done < size_bytes:
        raise HubFailure(f"it stopped after {done} of {size_bytes} bytes")


def _save(response: httpx.Response, part: Path, done: int, size_bytes: int, on_bytes: Callable[[int], None]) -> int:
    if response.status_code == 416:
        part.unlink(missing_ok=True)  # the hub's file is shorter than what we have: never the same file
    if response.status_code not in (200, 206):
        raise HubFailure(f"HTTP {response.status_code}")
    resumed = response.status_code == 206
    if resumed and not response.headers.get("content-range", "").startswith(f"bytes {done}-"):
        raise HubFailure("it sent another range than it was asked for")
    done = done if resumed else 0
    with part.open("ab" if resumed else "wb") as file:
        for block in response.iter_raw():  # blocks as they come: a larger block would be lost when the line breaks
            file.write(block)
            done += len(block)
            on_bytes(done)
            if done > size_bytes:
                break
    return done
