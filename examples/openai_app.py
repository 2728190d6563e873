"""An application of OpenAI's client, at the gateway: `.venv/bin/python examples/openai_app.py URL MODEL`."""

import sys

from openai import OpenAI


def main(url: str = "http://127.0.0.1:8000", model: str = "company", api_key: str = "none") -> None:
    client = OpenAI(base_url=f"{url}/v1", api_key=api_key, max_retries=0)  # the gateway tries again by itself

    reply = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "What is 17 + 28? Reply with the number only."}],
        extra_body={"troupe": {"deadline_s": 30}},
    )
    troupe = reply.model_extra["troupe"] if reply.model_extra else {}
    print(f"{reply.choices[0].message.content} from {troupe['backend']} by {troupe['strategy']}")

    print("streamed: ", end="")
    for chunk in client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Count to five."}], stream=True
    ):
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
