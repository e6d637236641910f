"""What is asked of a server beforehand: is it here, what has it, which fields does it take."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest

from harness.core.errors import ConfigError, RunFailedError
from harness.core.task_config import ServerConfig, hide_host, name_served
from harness.serving import probe
from harness.serving.client import Target
from harness.serving.probe import check_server, is_local, is_reachable, learn_dialect, list_models, read_api_key
from harness.serving.protocol import DIALECTS, Ask, build_endpoint
from tests.scripted_server import MODEL, Reply, ScriptedServer, answer_well


@contextmanager
def _plain_server(status: int, content: bytes, kind: str = "application/json") -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8000", True),
        ("http://localhost:8000/v1", True),
        ("http://[::1]:8000", True),
        ("http://0.0.0.0:8000", True),
        ("http://203.0.113.7:8000", False),
        ("http://no-such-host.invalid", False),
    ],
)
def test_whose_address_it_is(url: str, local: bool) -> None:
    assert is_local(url) is local


def test_an_address_of_a_network_interface_here_is_local() -> None:
    own = [
        entry.address
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family.name == "AF_INET"
    ]
    assert own
    assert all(is_local(f"http://{address}:80") for address in own)


def test_models_are_listed_and_a_server_without_a_list_is_taken_at_its_word() -> None:
    with _plain_server(200, b'{"data": [{"id": "a"}, {"id": "b"}]}') as url:
        assert list_models(ServerConfig(base_url=url)) == ["a", "b"]
        assert check_server(ServerConfig(base_url=f"{url}/v1", model="b")) == "b"
    with _plain_server(404, b"{}") as url:
        assert list_models(ServerConfig(base_url=url)) is None
        assert check_server(ServerConfig(base_url=url, model="whatever")) == "whatever"
        with pytest.raises(ConfigError, match=r"lists no models; give server\.model=NAME"):
            check_server(ServerConfig(base_url=url))


@pytest.mark.parametrize(
    ("status", "content", "words"),
    [
        (401, b"{}", "refuses the key"),
        (200, b"<html>hello</html>", "no OpenAI-compatible server"),
        (200, b"[1, 2]", "no OpenAI-compatible server"),
        (503, b'{"error": {"message": "loading"}}', "HTTP 503: 'loading'"),
        (200, b'{"data": []}', "it has: none"),
    ],
)
def test_what_is_wrong_is_one_line(status: int, content: bytes, words: str) -> None:
    with _plain_server(status, content) as url, pytest.raises(ConfigError, match=words) as raised:
        check_server(ServerConfig(base_url=url, model="m"))
    assert "\n" not in str(raised.value)


def test_anything_that_answers_is_reachable() -> None:
    with _plain_server(500, b"") as url:
        assert is_reachable(ServerConfig(base_url=url))
    assert not is_reachable(ServerConfig(base_url=url))


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_HERE", "abc")
    assert read_api_key(ServerConfig(api_key_env="KEY_HERE")) == "abc"
    assert read_api_key(ServerConfig()) is None
    for wrong in ("a\nb", "abc ", "schlüssel"):
        monkeypatch.setenv("KEY_HERE", wrong)
        with pytest.raises(ConfigError, match="no header can carry") as raised:
            read_api_key(ServerConfig(api_key_env="KEY_HERE"))
        assert wrong.strip() not in str(raised.value)


@pytest.mark.parametrize("status", [400, 500])
def test_a_key_that_the_server_repeats_is_not_shown(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_HERE", "sk-123")
    said = b'{"error": {"message": "bad key: sk-123"}}'
    with _plain_server(status, said) as url, pytest.raises(ConfigError, match=r"bad key: \(the key\)"):
        list_models(ServerConfig(base_url=url, api_key_env="KEY_HERE"))

    async def script(reply: Reply) -> None:
        await reply.status(400, {"error": "bad key: sk-123"})

    with ScriptedServer(script) as server, pytest.raises(RunFailedError, match=r"bad key: \(the key\)"):
        asyncio.run(learn_dialect(Target(server.base_url, MODEL, "chat", 5.0, 0, api_key="sk-123"), Ask("a", 3)))


@contextmanager
def _dripping_server(head: bytes) -> Iterator[str]:
    """Sends `head` and then a space every tenth of a second, for ever."""
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            connection.recv(65536)
            connection.sendall(head)
            while not stop.wait(0.1):
                connection.sendall(b" ")

    threading.Thread(target=drip, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    stop.set()
    listener.close()


def test_a_server_that_drips_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PROBE_TIMEOUT_S", 0.5)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    with _dripping_server(head) as url, pytest.raises(ConfigError, match=r"no whole answer within 0\.5 s"):
        list_models(ServerConfig(base_url=url))
    with _dripping_server(head) as url:
        assert is_reachable(ServerConfig(base_url=url))
    with _dripping_server(b"HTTP/1.1 200 OK\r\nX: ") as url:
        assert not is_reachable(ServerConfig(base_url=url))


def test_names_of_models_that_cannot_be_typed_are_none() -> None:
    with _plain_server(200, b'{"data": [{"id": "a\\u001b[2J"}, {"id": "\\ud83d"}, {"id": 7}, {"id": "b"}]}') as url:
        assert list_models(ServerConfig(base_url=url)) == ["b"]


def _picky(*refused: str) -> Callable[[Reply], object]:
    async def script(reply: Reply) -> None:
        if set(refused) & set(reply.body):
            await reply.status(422, {"detail": f"unexpected: {refused}"})
        else:
            await answer_well(reply)

    return script


@pytest.mark.parametrize(("refused", "place"), [((), 0), (("stream_options",), 1), (("stream_options", "seed"), 2)])
def test_fields_that_a_server_refuses_are_left_out(refused: tuple[str, ...], place: int) -> None:
    with ScriptedServer(_picky(*refused)) as server:
        target = asyncio.run(learn_dialect(Target(server.base_url, MODEL, "chat", 5.0, 0), Ask("a", 3)))
    assert target.dialect == DIALECTS[place]
    assert len(server.bodies) == place + 1


def test_a_server_that_refuses_every_request_is_told_in_its_own_words() -> None:
    with ScriptedServer(_picky("model")) as server, pytest.raises(RunFailedError, match="unexpected"):
        asyncio.run(learn_dialect(Target(server.base_url, MODEL, "completions", 5.0, 0), Ask("a", 3)))
    assert len(server.bodies) == 3


def test_an_address_ends_in_v1_once() -> None:
    assert build_endpoint("http://a:1") == build_endpoint("http://a:1/v1/") == "http://a:1/v1"
    assert build_endpoint("http://a/proxy/") == "http://a/proxy/v1"


def test_records_keep_no_other_host_and_no_path() -> None:
    assert hide_host("http://127.0.0.1:8000/v1") == "http://127.0.0.1:8000"
    assert hide_host("https://gpu.example.org:8000") == "https://(another host)"
    assert hide_host("http://localhost.example.org") == "http://(another host)"
    assert hide_host("") == ""
    assert name_served("/srv/models/olmoe") == "olmoe"
    assert name_served("org/olmoe") == "org/olmoe"
