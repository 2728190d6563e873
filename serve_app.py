"""Composition root: configuration in, plain classes wrapped as Ray actors and as a Ray Serve deployment out.

`troupe serve` deploys what `application` returns; `serve run serve_app:build_app config=FILE` does it with Ray's own
command. Building the application creates no actor: the first replica does.
"""

from actors.island import front

front.settle_front()  # Ray Serve reads its settings when it is imported

import difflib
import os
import random
import secrets
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import ray
from ray import serve
from ray.serve import Application

from actors.backend import Backend
from actors.edge.config import BackendConfig, Config, LlamaCppBackend, OpenAIBackend, ScriptedBackend
from actors.edge.config_file import load_config
from actors.edge.http import HttpApp
from actors.edge.ledger import Ledger
from actors.edge.ray_links import ReplicaLinks, ServedAddress
from actors.edge.ray_ports import OPTIMIZER, ROUTER, SUPERVISOR, TRACER, HostedModel, backend_actor
from actors.edge.ray_stage import Sources, Stage, end_self
from actors.ensemble import Ensemble
from actors.optimizer import Optimizer
from actors.orchestrator import Cast, Orchestrator
from actors.protocol.errors import ConfigError
from actors.protocol.messages import Role
from actors.protocol.ports import ModelPort, Provider
from actors.router import Router
from actors.routing.strategies import LocalView
from actors.routing.table import BackendRecord, Lease, RoutingTable
from actors.supervisor import Supervisor
from actors.tracer import Tracer
