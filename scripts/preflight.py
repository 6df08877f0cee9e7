"""What is looked at before a server is started: the settings and the ports, so that a mistake is a sentence."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECRET = {("hop", "token"), ("redis", "url")}
"""Settings whose values are not for a log."""


def port_problem(host: str, port: int, variable: str = "PORT") -> str | None:
    """Why nothing can listen on `host`:`port`, and that `variable` of make chooses another; None when it is free."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            other = f"make serve {variable}={_free_port(host)}"
            return f"Port {port} is taken by {_holder(port)}. Stop that, or choose another port: {other}"
        return f"Nothing can listen on {host}:{port}: {error.strerror}."
    return None


def port_problems(host: str, port: int) -> list[str]:
    """What is wrong with the addresses for HTTP and, as the settings say, for gRPC."""
    from services.roles import serves_gateway
    from services.settings.tree import load_settings

    settings = load_settings()
    grpc_port = settings.gateway.grpc_port if serves_gateway(settings.role) else 0
    found = [port_problem(host, port), port_problem(host, grpc_port, "GRPC_PORT") if grpc_port else None]
    return [problem for problem in found if problem]


def binding_problem(host: str) -> str | None:
    """Why the gateway may not listen on `host`: others reach it there, and nothing guards it."""
    from bentoml.exceptions import BentoMLConfigException

    from services.gateway.binding import check_binding
    from services.roles import serves_gateway
    from services.settings.tree import load_settings

    settings = load_settings()
    if not serves_gateway(settings.role):
        return None
    try:
        check_binding(host, settings)
    except BentoMLConfigException as problem:
        return str(problem)
    return None


def settings_problems(given: Mapping[str, str]) -> list[str]:
    """What is wrong with the settings in `tandem.yaml` and in `given`, the environment: a sentence each."""
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from services.roles import role_problems
    from services.settings.tree import Settings

    problems = []
    for name in sorted(given):
        section = name.removeprefix("TANDEM_").partition("__")[0].lower()
        if name.startswith("TANDEM_") and section not in Settings.model_fields:
            problems.append(f"{name} is no setting.")
    config = given.get("TANDEM_CONFIG")
    if config and not Path(config).is_file():
        problems.append(f"TANDEM_CONFIG names {config}, and there is no such file.")
    try:
        problems += role_problems(Settings())
    except ValidationError as invalid:
        for error in invalid.errors():
            path = [str(part) for part in error["loc"]]
            where = f"{'.'.join(path)} (TANDEM_{'__'.join(path).upper()})"
            unknown = error["type"] == "extra_forbidden"
            given_value = "set" if tuple(path) in _SECRET else repr(error["input"])
            why = "is no setting" if unknown else f"is {given_value}: {error['msg'].lower()}"
            problems.append(f"{where} {why}.")
    except SettingsError as unreadable:
        problems.append(f"{unreadable}: lists and mappings are given as JSON.")
    return problems


def _free_port(host: str) -> int:
    family, kind, protocol, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.bind(address)
        return int(probe.getsockname()[1])


def _holder(port: int) -> str:
    import psutil

    for connection in psutil.net_connections(kind="inet"):
        listens = connection.status == psutil.CONN_LISTEN and tuple(connection.laddr)[1:2] == (port,)
        if listens and connection.pid:
            command = " ".join(psutil.Process(connection.pid).cmdline())
            return f"process {connection.pid} ({command[:100]})"
    return "a process of another user"
