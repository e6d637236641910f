"""Asks a server what it is before anything is measured: is it there, which models has it, which fields does it take."""

from __future__ import annotations

import asyncio
import dataclasses
import ipaddress
import json
import os
import socket
from urllib.parse import urlsplit

import httpx
import psutil

from harness.core.errors import ConfigError, RunFailedError, did_you_mean
from harness.core.task_config import ServerConfig, hide_host
from harness.serving import outcome as causes
from harness.serving.client import Target, answer, hide_key, open_client
from harness.serving.outcome import Outcome
from harness.serving.protocol import DIALECTS, Ask, build_endpoint, read_error

PROBE_TIMEOUT_S = 10.0
_MAX_LIST_BYTES = 16 * 1024 * 1024
_MAX_SHOWN = 8
# UnicodeError: a host that no name server can be asked for.
_NO_ANSWER = (httpx.HTTPError, httpx.InvalidURL, TimeoutError, UnicodeError)


def read_api_key(server: ServerConfig) -> str | None:
    """Return the key from the environment variable that `server` names, ``None`` where it names none.

    Raises:
        ConfigError: the variable is not set.
    """
    if not server.api_key_env:
        return None
    key = os.environ.get(server.api_key_env, "")
    if not key:
        raise ConfigError(f"server.api_key_env names '{server.api_key_env}', which is not set; export it first.")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(
            f"the key in '{server.api_key_env}' holds spaces or characters that no header can carry; export it anew."
        )
    return key


def check_server(server: ServerConfig) -> str:
    """Return the name of the model to ask: the configured one, or the only one that the server has.

    A server without a list of models is taken at the word of the configuration.

    Raises:
        ConfigError: nobody answers at the address, the key is refused, or there is no such model.
    """
    names = list_models(server)
    if names is None:
        if not server.model:
            raise ConfigError(f"the server at {server.base_url} lists no models; give server.model=NAME.")
        return server.model
    shown = ", ".join(names[:_MAX_SHOWN]) + (", ..." if len(names) > _MAX_SHOWN else "")
    if not server.model:
        if len(names) == 1:
            return names[0]
        raise ConfigError(
            f"the server at {server.base_url} has {len(names)} models; give server.model= one of: {shown}."
        )
    if server.model not in names:
        raise ConfigError(
            f"the server at {server.base_url} has no model '{server.model}'; it has: {shown or 'none'}."
            f"{did_you_mean(server.model, names)}"
        )
    return server.model


def list_models(server: ServerConfig) -> list[str] | None:
    """Return the names at ``/v1/models``, or ``None`` where the server has no such list.

    Raises:
        ConfigError: nobody answers, or the key is refused.
    """
    key = read_api_key(server)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    url = f"{build_endpoint(server.base_url)}/models"
    try:
        response = asyncio.run(_get(url, headers))
    except _NO_ANSWER as error:
        why = str(error) or type(error).__name__
        raise ConfigError(
            f"no server answers at {server.base_url} ({why}); start it, or correct server.base_url."
        ) from error
    if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise ConfigError(
            f"the server at {server.base_url} refuses the key (HTTP {response.status_code}); put it into an "
            "environment variable and give server.api_key_env=ITS_NAME."
        )
    if response.status_code in (httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED, httpx.codes.NOT_IMPLEMENTED):
        return None
    return _read_names(response, server, key)


def is_reachable(server: ServerConfig) -> bool:
    """Return whether anything answers at the address, whatever it says."""
    try:
        asyncio.run(_get(f"{build_endpoint(server.base_url)}/models", {}, with_body=False))
    except _NO_ANSWER:
        return False
    return True


async def learn_dialect(target: Target, ask: Ask) -> Target:
    """Return `target` with the most fields that the server takes, found with one short request each; not counted.

    Raises:
        RunFailedError: the server answers none of them.
    """
    client = open_client()
    try:
        for dialect in DIALECTS:
            tried = dataclasses.replace(target, dialect=dialect)
            result = Outcome(0)
            await answer(client, tried, ask, result)
            if result.answered:
                return tried
            if result.cause != causes.HTTP_4XX:
                break
    finally:
        await client.aclose()
    raise RunFailedError(
        f"the server at {hide_host(target.base_url)} answered no request before the measurement ({result.cause}): "
        f"{result.reason}"
    )


def is_local(base_url: str) -> bool:
    """Return whether the address is this machine's: a loopback address, or one of its network interfaces.

    A tunnel to another machine that ends on this one cannot be told apart from a server here.
    """
    host = urlsplit(base_url).hostname or ""
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False
    own = {entry.address.partition("%")[0] for entries in psutil.net_if_addrs().values() for entry in entries}
    return bool(found) and all(_is_own(str(address).partition("%")[0], own) for address in found)


async def _get(url: str, headers: dict[str, str], *, with_body: bool = True) -> httpx.Response:
    """Return the answer to a GET; all of it has come within `PROBE_TIMEOUT_S`, however slowly a server drips."""
    client = open_client()
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S), client.stream("GET", url, headers=headers) as response:
            data = b""
            if with_body:
                async for part in response.aiter_bytes():
                    data += part
                    if len(data) > _MAX_LIST_BYTES:
                        break
            return httpx.Response(response.status_code, content=data)
    except TimeoutError:
        raise TimeoutError(f"no whole answer within {PROBE_TIMEOUT_S:g} s") from None
    finally:
        await client.aclose()


def _is_own(address: str, own: set[str]) -> bool:
    parsed = ipaddress.ip_address(address)
    return parsed.is_loopback or parsed.is_unspecified or address in own


def _read_names(response: httpx.Response, server: ServerConfig, api_key: str | None) -> list[str]:
    try:
        value = json.loads(hide_key(response.text, api_key))
    except (ValueError, RecursionError):
        value = None
    if response.is_error and value is not None:
        raise ConfigError(f"the server at {server.base_url} says HTTP {response.status_code}: {read_error(value)}.")
    listed = value.get("data") if isinstance(value, dict) else None
    if response.is_error or not isinstance(listed, list):
        raise ConfigError(
            f"what answers at {server.base_url} is no OpenAI-compatible server (HTTP {response.status_code} at "
            "/v1/models); correct server.base_url."
        )
    names = [model["id"] for model in listed if isinstance(model, dict) and isinstance(model.get("id"), str)]
    return [name for name in names if name.isprintable()]  # no other can be typed, or written into a record
