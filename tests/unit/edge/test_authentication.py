import pytest

from actors.edge.authentication import Keyring
from actors.protocol.errors import Unauthenticated

KEYRING = Keyring([("ci", "secret-1"), ("ops", "sécret-2")])


def test_without_keys_everybody_may_enter() -> None:
    assert Keyring([]).holder(None) is None
    assert Keyring([]).holder(b"Bearer anything") is None


@pytest.mark.parametrize(
    ("authorization", "holder"),
    [
        (b"Bearer secret-1", "ci"),
        (b"bearer secret-1", "ci"),
        (b"BEARER  secret-1 ", "ci"),
        ("Bearer sécret-2".encode(), "ops"),
    ],
)
def test_a_known_key_is_recognised_by_name(authorization: bytes, holder: str) -> None:
    assert KEYRING.holder(authorization) == holder


@pytest.mark.parametrize("authorization", [None, b"", b"Bearer", b"Bearer ", b"Basic secret-1", b"secret-1"])
def test_a_missing_key_is_asked_for(authorization: bytes | None) -> None:
    with pytest.raises(Unauthenticated, match="Authorization: Bearer KEY"):
        KEYRING.holder(authorization)


@pytest.mark.parametrize("token", [b"secret", b"secret-11", b"secret-1,secret-2", b"\xff\x00", b"x" * 100_000])
def test_an_unknown_key_is_refused_without_being_repeated(token: bytes) -> None:
    with pytest.raises(Unauthenticated) as caught:
        KEYRING.holder(b"Bearer " + token)

    assert caught.value.message == "This API key is not known here."


def test_a_keyring_does_not_show_or_keep_its_secrets() -> None:
    assert "secret" not in repr(KEYRING)
    assert "secret" not in repr(vars(KEYRING))
