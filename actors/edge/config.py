"""stand-in"""
from pathlib import Path
from typing import Any, Literal
from pydantic import BaseModel, ConfigDict, SecretStr, Field
from actors.routing.table import BackendRecord, ModelRecord, Price, Supports

class M(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
class ApiKey(M):
    key: SecretStr
    name: str
class Server(M):
    host: str = "127.0.0.1"
    port: int = 8000
    replicas: int = 1
    max_body_mb: int = 32
    api_keys: list[ApiKey] = []
class RayC(M):
    address: str = "local"
    namespace: str = "troupe"
class BackendConfig(M):
    provider: str
    base_url: str = ""
    api_key: SecretStr | None = None
    model: str = ""
    timeout_s: float = 120
    ttft_timeout_s: float = 60
    stall_timeout_s: float = 15
    max_retries: int = 2
    max_concurrency: int = 64
    weight: float = 1.0
    context_size: int = 4096
    parallel: int = 2
    threads: int = 1
    system: str | None = None
    script: dict[str, Any] = {}
class ModelC(M):
    strategy: str = "failover"
    members: list[str]
    merge: str = "weighted_consensus"
    judge: str | None = None
    quorum: int | None = None
    deadline_s: float = 60
    max_attempts: int = 6
class Opt(M):
    state: str = "sqlite:///.troupe/state.db"
    def state_path(self, cwd: Path) -> Path:
        return cwd / self.state.removeprefix("sqlite:///")
class Config(M):
    server: Server = Server()
    ray: RayC = RayC()
    backends: dict[str, BackendConfig]
    models: dict[str, ModelC] = {}
    optimizer: Opt = Opt()
    def served_at(self, host, port):
        import socket
        if port == 0:
            with socket.create_server(("127.0.0.1", 0)) as s: port = s.getsockname()[1]
        return self.model_copy(update={"server": self.server.model_copy(update={k: v for k, v in (("host", host), ("port", port)) if v is not None})})
    def backend_records(self):
        return {n: BackendRecord(n, b.provider, b.model or n, b.provider != "openai", b.weight, b.timeout_s, b.ttft_timeout_s, b.stall_timeout_s, b.max_retries, b.max_concurrency) for n, b in self.backends.items()}
    def model_records(self):
        return {n: ModelRecord(n, m.strategy, m.members, m.merge, m.judge, m.quorum, m.deadline_s, m.max_attempts) for n, m in self.models.items()}
