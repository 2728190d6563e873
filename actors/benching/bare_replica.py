"""What does Ray Serve itself cost, behind the same front as ours and with nothing of ours in it?

    python -m actors.benching.bare_replica --upstream http://127.0.0.1:9000/v1 --port 8000

One replica that passes requests on, on an island of its own. It has no socket beside Serve's, so the front calls it as
Serve would have it called.
"""

import argparse
import logging
import signal
import threading
from typing import TYPE_CHECKING

from actors.island.island import Island

if TYPE_CHECKING:
    from ray.serve import Application, Deployment

ONGOING_REQUESTS = 10_000
QUIET = {"log_level": "WARNING", "enable_access_log": False}


def serve_bare(island: Island, upstream_url: str, port: int) -> None:
    """Serves until a signal interrupts it."""
    import ray  # reads the island's settings when it is imported
    from ray import serve

    from actors.island.own_ray import end_head, start_head

    node = start_head(island.ray_folder, island.ports.runtime_env_agent)
    try:
        ray.init(node.address, logging_level=logging.WARNING, log_to_driver=False)
        _heed_signals()  # Ray has taken SIGTERM for itself
        serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port}, logging_config=QUIET)
        serve.run(application(upstream_url), name="bare", logging_config=QUIET)
        print(f"READY http://127.0.0.1:{port}", flush=True)
        threading.Event().wait()
    finally:
        ray.shutdown()
        end_head(node)


def application(upstream_url: str) -> "Application":
    """One replica with the limits and health checks of ours."""
    from ray import serve

    from actors.benching.passthrough import Passthrough

    class Bare:
        """Nothing beside what `serve.ingress` makes of it."""

    ingress = serve.ingress(Passthrough(upstream_url))(Bare)
    wrapped: Deployment = serve.deployment(ingress)  # type: ignore[assignment]  # Ray's hint
    return wrapped.options(
        name="bare",
        max_ongoing_requests=ONGOING_REQUESTS,
        ray_actor_options={"num_cpus": 0},
        health_check_period_s=1,
        health_check_timeout_s=2,
        logging_config=QUIET,
    ).bind()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--upstream", required=True, help="base URL, with /v1")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    _heed_signals()
    island = Island.settle()
    try:
        serve_bare(island, arguments.upstream, arguments.port)
    except KeyboardInterrupt:
        pass
    finally:
        island.leave()


def _heed_signals() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)


if __name__ == "__main__":
    main()
