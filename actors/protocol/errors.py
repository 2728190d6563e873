"""Which failures exist, and what does each mean to a caller?

Every class answers three questions: the HTTP `status` it becomes, whether trying again may help (`retryable`), and
the stable `code` that programs may match on. `kind` is the `type` of the OpenAI error envelope.

    LLMError                          500  internal_error
    ├── ConfigError                   500  invalid_config
    ├── CallerError                   400  invalid_request
    │   ├── Unauthenticated           401  invalid_api_key
    │   ├── NotFound                  404  not_found
    │   ├── MethodNotAllowed          405  method_not_allowed
    │   ├── PayloadTooLarge           413  payload_too_large
    │   ├── QuotaExceeded             429  insufficient_quota
    │   └── Unprocessable             422  unprocessable
    ├── LLMRouterError                503  no_backend
    │   └── UnknownModel              404  model_not_found
    ├── BackendError                  502  upstream_error          retryable
    │   ├── BackendUnavailable        503  backend_unavailable     retryable
    │   ├── BackendTimeout            504  timeout                 retryable
    │   ├── RateLimited               429  rate_limit_exceeded     retryable
    │   ├── MalformedAnswer           502  malformed_answer        retryable
    │   ├── KeyRefused                502  upstream_key_refused
    │   └── RequestRefused            400  request_refused
    │       ├── ContextTooLong        400  context_length_exceeded
    │       └── ContentFiltered       400  content_filter
    ├── EnsembleError                 502  no_answer
    │   └── DeadlineExceeded          504  deadline_exceeded
    ├── Overloaded                    503  overloaded              retryable
    ├── OptimizerError                503  optimizer_unavailable   retryable
    ├── SupervisorError               503  supervisor_unavailable  retryable
    ├── TracerError                   503  tracer_unavailable      retryable
    └── CatalogueError                500  catalogue_error
"""


class LLMError(Exception):
    """Root of everything that Troupe raises on purpose.

    All arguments are positional for `Exception`, so that an error survives pickling between Ray processes; `str()`
    of it is the message alone. `status` and `code` override the class's own where an upstream's are passed on.
    """

    status: int = 500
    retryable: bool = False
    code: str = "internal_error"
    kind: str = "server_error"

    def __init__(
        self,
        message: str,
        backend: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
        status: int | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message, backend, param, retry_after_s, status, code)
        self.message = message
        self.backend = backend
        self.param = param
        self.retry_after_s = retry_after_s
        if status is not None:
            self.status = status
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return self.message


class ConfigError(LLMError):
    """The configuration cannot be used; the message lists each problem with its place."""

    code = "invalid_config"


class CallerError(LLMError):
    """The request itself is wrong; the same request will fail again."""

    status = 400
    code = "invalid_request"
    kind = "invalid_request_error"


class Unauthenticated(CallerError):
    """The request carries no API key, or one that is not known here."""

    status = 401
    code = "invalid_api_key"


class NotFound(CallerError):
    """No such path or record."""

    status = 404
    code = "not_found"


class MethodNotAllowed(CallerError):
    """The path exists, but not for this HTTP method."""

    status = 405
    code = "method_not_allowed"


class PayloadTooLarge(CallerError):
    """The request body is over `server.max_body_mb`."""

    status = 413
    code = "payload_too_large"


class QuotaExceeded(CallerError):
    """A budget of today does not cover the request."""

    status = 429
    code = "insufficient_quota"
    kind = "insufficient_quota"


class Unprocessable(CallerError):
    """The request is well formed but asks for something that cannot be meant."""

    status = 422
    code = "unprocessable"


class LLMRouterError(LLMError):
    """No backend can take this request now."""

    status = 503
    code = "no_backend"


class UnknownModel(LLMRouterError):
    """The `model` names neither a model nor a backend; the message gives the nearest names."""

    status = 404
    code = "model_not_found"
    kind = "invalid_request_error"


class BackendError(LLMError):
    """A backend did not give a usable answer; another try or another backend may."""

    status = 502
    retryable = True
    code = "upstream_error"


class BackendUnavailable(BackendError):
    """The backend could not be reached, or its process died."""

    status = 503
    code = "backend_unavailable"


class BackendTimeout(BackendError):
    """The backend said nothing, or not everything, within its limit."""

    status = 504
    code = "timeout"


class RateLimited(BackendError):
    """The backend asks us to slow down; `retry_after_s` is its own wish where it gave one."""

    status = 429
    code = "rate_limit_exceeded"
    kind = "rate_limit_error"


class MalformedAnswer(BackendError):
    """The backend answered with something that is not a completion, or with half of one."""

    code = "malformed_answer"


class KeyRefused(BackendError):
    """The backend refuses *our* credential; only an operator can mend that."""

    retryable = False
    code = "upstream_key_refused"


class RequestRefused(BackendError):
    """The backend refuses the caller's request itself; its reason and status are passed on."""

    status = 400
    retryable = False
    code = "request_refused"
    kind = "invalid_request_error"


class ContextTooLong(RequestRefused):
    """The prompt does not fit the model's context window."""

    code = "context_length_exceeded"


class ContentFiltered(RequestRefused):
    """The backend's content filter refused the request."""

    code = "content_filter"


class EnsembleError(LLMError):
    """No member of an ensemble gave an answer."""

    status = 502
    code = "no_answer"


class DeadlineExceeded(EnsembleError):
    """The request's own deadline passed before any answer was there."""

    status = 504
    code = "deadline_exceeded"


class Overloaded(LLMError):
    """This gateway is full, starting or stopping; try again after `retry_after_s`."""

    status = 503
    retryable = True
    code = "overloaded"


class OptimizerError(LLMError):
    """The optimizer could not record or answer."""

    status = 503
    retryable = True
    code = "optimizer_unavailable"


class SupervisorError(LLMError):
    """The supervisor could not start or reach a part of the company."""

    status = 503
    retryable = True
    code = "supervisor_unavailable"


class TracerError(LLMError):
    """The tracer could not record or answer."""

    status = 503
    retryable = True
    code = "tracer_unavailable"


class CatalogueError(LLMError):
    """Model weights are missing, incomplete or not the pinned ones."""

    code = "catalogue_error"
