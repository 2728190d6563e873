"""Who is calling?"""

import hmac
from collections.abc import Sequence
from hashlib import sha256

from actors.protocol.errors import Unauthenticated


class Keyring:
    """The API keys that are let in, as digests: the secrets themselves are not kept."""

    def __init__(self, keys: Sequence[tuple[str, str]]) -> None:
        """`keys` are pairs of a name and its secret; an empty sequence lets everybody in."""
        self._digests = [(name, sha256(secret.encode()).digest()) for name, secret in keys]

    def holder(self, authorization: bytes | None) -> str | None:
        """The name of the key in an `Authorization` header, or `None` where no keys are configured.

        Takes the same time whichever key matches. Raises `Unauthenticated` without a key or with an unknown one.
        """
        if not self._digests:
            return None
        token = _bearer_token(authorization)
        if not token:
            raise Unauthenticated("This gateway needs an API key: send it as 'Authorization: Bearer KEY'.")
        digest = sha256(token).digest()
        holder = None
        for name, known in self._digests:
            if hmac.compare_digest(digest, known):
                holder = name
        if holder is None:
            raise Unauthenticated("This API key is not known here.")
        return holder


def _bearer_token(authorization: bytes | None) -> bytes:
    scheme, _, token = (authorization or b"").partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""
