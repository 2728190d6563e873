"""How is a gateway handed to Ray Serve, without waiting for each of Serve's parts in turn?"""

from ray import serve
from ray.serve import Application
from ray.serve._private.default_impl import get_controller_impl
from ray.serve.config import HTTPOptions, ProxyLocation
from ray.serve.schema import ApplicationStatus, LoggingConfig

QUIET = {"log_level": "WARNING", "enable_access_log": False}


def begin_serve(host: str, port: int) -> None:
    """Creates Serve's controller on a Ray that has none, and returns at once; the front will be on the head node.

    `serve.start` creates it in the same way, but then waits for it and for the front, and a deployment must wait for
    `serve.start`: three processes that could start together start one after another.
    """
    get_controller_impl().remote(
        http_options=HTTPOptions(host=host, port=port),
        grpc_options=None,
        global_logging_config=LoggingConfig(**QUIET),
        proxy_location=ProxyLocation.HeadOnly,
        global_tracing_config=None,
    )


def join_serve(host: str, port: int) -> None:
    """Makes sure that Serve runs on a Ray that others may use, with a front on every node; waits for it."""
    serve.start(proxy_location="EveryNode", http_options={"host": host, "port": port}, logging_config=QUIET)


def deploy(application: Application, name: str) -> None:
    """Hands the application to Serve; whether its replicas start is told by `failure_of`."""
    target = serve.RunTarget(application, name=name, logging_config=QUIET)
    serve.run_many([target], wait_for_ingress_deployment_creation=False, wait_for_applications_running=False)


def failure_of(name: str) -> str | None:
    """Why Serve has given up starting the application; `None` while it has not."""
    found = serve.status().applications.get(name)
    if found is None or found.status != ApplicationStatus.DEPLOY_FAILED:
        return None
    causes = [last_line(deployment.message) for deployment in found.deployments.values()]
    return " ".join(filter(None, [found.message, *causes]))


def last_line(text: str) -> str:
    """What a message that holds a traceback comes to: the error itself stands in its last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def withdraw(name: str) -> None:
    """Takes the application from Serve again, with its replicas."""
    serve.delete(name)
