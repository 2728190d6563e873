"""What can a script do with the company's handles, without HTTP?"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray.exceptions import RayTaskError

from actors.client import Troupe
from actors.edge.ray_ports import translated
from actors.protocol.errors import BackendError, LLMError, RequestRefused, UnknownModel
from actors.protocol.messages import Answer, Failure
from tests.support.running_gateway import RunningGateway

ROOT = Path(__file__).parents[2]


def tree(kind: type[LLMError]) -> Iterator[type[LLMError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from tree(below)


def test_the_names_are_those_of_the_configuration(troupe: Troupe) -> None:
    names = troupe.names()

    assert names[0] == "company"
    assert {"right", "far", "first"} <= set(names)


@pytest.mark.parametrize(("model", "best"), [("first", "broken"), ("far", "far"), ("company", "right")])
def test_the_router_names_the_best_backend(troupe: Troupe, model: str, best: str) -> None:
    assert ray.get(troupe.router.get_best_model.remote(model)) == best


def test_the_router_refuses_an_unknown_model_with_our_error(troupe: Troupe) -> None:
    with pytest.raises(UnknownModel):
        ray.get(troupe.router.get_best_model.remote("compani"))


def test_orchestrate_gives_an_answer_or_a_failure_for_each_member(troupe: Troupe) -> None:
    answered, failed, agreeing = troupe.orchestrate("What is 6 times 7?", model="shaky")

    assert isinstance(answered, Answer)
    assert (answered.backend, answered.text) == ("right", "The answer is 42.")
    assert isinstance(failed, Failure)
    assert (failed.backend, failed.code, failed.status) == ("broken", "upstream_error", 502)
    assert isinstance(agreeing, Answer)


def test_ask_gives_text_and_what_happened(troupe: Troupe) -> None:
    said = troupe.ask("What is 6 times 7?", model="company")

    assert "42" in said.text
    assert said.troupe["ensemble"]["answered"] == 3


def test_ask_takes_messages_and_parameters(troupe: Troupe) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say it again."}]

    said = troupe.ask(messages, model="right", logprobs=True)

    assert said.text == "The answer is 42."
    assert said.body["choices"][0]["logprobs"]["content"]


async def test_aask_is_awaited(troupe: Troupe) -> None:
    assert (await troupe.aask("One two", model="echo")).text == "One two"


def test_stream_gives_the_words_one_after_the_other(troupe: Troupe) -> None:
    assert "".join(troupe.stream("One two three", model="echo")) == "One two three"


async def test_astream_gives_the_words_too(troupe: Troupe) -> None:
    pieces = [piece async for piece in troupe.astream("One two three", model="echo")]

    assert "".join(pieces) == "One two three"


@pytest.mark.parametrize(("model", "kind"), [("nobody", UnknownModel), ("broken", BackendError)])
def test_errors_of_a_request_are_ours(troupe: Troupe, model: str, kind: type[LLMError]) -> None:
    with pytest.raises(kind):
        troupe.ask("hi", model=model)
    with pytest.raises(kind):
        list(troupe.stream("hi", model=model))


def test_every_actor_answers_by_its_own_handle(troupe: Troupe) -> None:
    company = [troupe.router, troupe.optimizer, troupe.supervisor, troupe.tracer, troupe.backend("right")]

    pulses = ray.get([actor.pulse.remote() for actor in company])

    assert [pulse.name for pulse in pulses] == ["router", "optimizer", "supervisor", "tracer", "backend:right"]
    assert len({pulse.pid for pulse in pulses}) == 5
    assert os.getpid() not in {pulse.pid for pulse in pulses}


def test_a_backend_without_an_actor_is_our_error(troupe: Troupe) -> None:
    with pytest.raises(LLMError, match="There is no actor 'backend:nobody'"):
        troupe.backend("nobody")


@pytest.mark.parametrize("kind", list(tree(LLMError)))
def test_an_error_comes_out_of_ray_as_it_went_in(troupe: Troupe, kind: type[LLMError]) -> None:
    sent = kind("What happened.", "some-backend", "messages", 1.5, 418, "a_code")

    @ray.remote(num_cpus=0, max_retries=0)
    def fail() -> None:
        raise sent

    with pytest.raises(kind) as caught:
        ray.get(fail.remote())

    assert isinstance(caught.value, RayTaskError)
    arrived = translated(caught.value, "some-backend")
    assert (type(arrived), arrived.args, arrived.status, arrived.code) == (kind, sent.args, 418, "a_code")
    assert str(arrived) == "What happened."


def test_values_of_failed_members_keep_their_status(troupe: Troupe) -> None:
    failure = Failure.of(RequestRefused("No.", "b", "messages"), "b", 1.0)

    assert ray.get(ray.put(failure)) == failure


def test_the_example_script_runs_in_a_process_of_its_own(gateway: RunningGateway) -> None:
    command = [sys.executable, str(ROOT / "examples" / "handles.py"), gateway.url]
    environment = {**os.environ, "TROUPE_API_KEY": gateway.api_key or ""}

    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110, check=False)

    assert done.returncode == 0, done.stderr
    assert "company says: 'The answer is 42.'" in done.stdout
    assert "Best backend now: right" in done.stdout


def test_the_example_application_runs_with_openais_client(gateway: RunningGateway) -> None:
    command = [sys.executable, str(ROOT / "examples" / "openai_app.py"), gateway.url, "right", gateway.api_key or ""]

    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout == "The answer is 42. from right by single\nstreamed: The answer is 42.\n"
