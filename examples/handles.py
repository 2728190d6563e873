"""The company by handle: run `make run` in one terminal, `.venv/bin/python examples/handles.py` in another."""

import sys

import ray

from actors.client import connect


def main(url: str = "http://127.0.0.1:8000") -> None:
    troupe = connect(url)

    print("Who is there:")
    for actor in ray.get(troupe.supervisor.status.remote()):
        print(f"  {actor.name:24} {actor.kind:10} {actor.state:10} pid {actor.pid}")

    model = troupe.names()[0]
    said = troupe.ask("What is 17 + 28? Reply with the number only.", model=model)
    print(f"\n{model} says: {said.text!r} (confidence {said.troupe['ensemble']['confidence_01']})")

    print("\nThe same question to each backend behind it, mixed success and failure:")
    for outcome in troupe.orchestrate("What is 17 + 28? Reply with the number only.", model=model):
        print(f"  {outcome}")

    print("\nA stream: ", end="")
    for piece in troupe.stream("Count from one to five.", model=next(iter(troupe.table().backends))):
        print(piece, end="", flush=True)

    best = ray.get(troupe.router.get_best_model.remote(model))
    report = ray.get(troupe.tracer.report.remote())
    print(f"\n\nBest backend now: {best}")
    for backend in report["backends"]:
        print(f"  {backend['name']:24} {backend['count']} calls, p50 {backend['p50_ms']} ms")


if __name__ == "__main__":
    main(*sys.argv[1:])
