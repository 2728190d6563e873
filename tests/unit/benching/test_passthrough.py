"""What is the least that a gateway in Python can do?"""

from actors.benching.passthrough import Passthrough


async def test_other_paths_are_not_found() -> None:
    sent = []

    async def send(message: object) -> None:
        sent.append(message)

    async def receive() -> dict[str, object]:
        raise AssertionError("nothing is read")

    await Passthrough("http://127.0.0.1:1/v1")({"type": "http", "path": "/-/healthz"}, receive, send)

    assert sent[0] == {"type": "http.response.start", "status": 404, "headers": []}
