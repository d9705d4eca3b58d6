"""Fetching by URL, from a server on loopback; who has which address is told by a resolver of the test's own."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fastembed.pipeline.errors import InvalidInput, TooLarge
from fastembed.server.endpoints.chat import decode
from fastembed.server.fetching.fetcher import FetchedContent, Fetcher
from fastembed.server.fetching.references import References
from fastembed.server.fetching.url_policy import UrlPolicy
from fastembed.server.wire.fields import Fields

AUDIO = Path(__file__).parents[1] / "assets" / "audio"
PIXEL = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\x00\x00\x00\x00\x00!\xf9\x04\x00\x00\x00\x00\x00,"
    b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)


class Site:
    """A web server that answers each path with the bytes that it was given; it notes what was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.port = 0
        self.came = asyncio.Event()
        self.left = asyncio.Event()

    def url(self, path: str, host: str = "site.example") -> str:
        return f"http://{host}:{self.port}{path}"

    def says(self, path: str, body: bytes, *headers: str, status: str = "200 OK") -> str:
        lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers, "", ""]
        self.answers[path] = "\r\n".join(lines).encode() + body
        return self.url(path)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(asked)
            self.came.set()
            writer.write(self.answers.get(asked.split(" ")[1], b""))
            await writer.drain()
            await reader.read()
        finally:
            self.left.set()
            writer.close()


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    found = Site()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    async with server:
        yield found


class Names:
    """A resolver; a name whose addresses are several lists gives one list after the other."""

    def __init__(self, **more: list[list[str]]) -> None:
        self.asked: list[str] = []
        self._answers = more

    async def __call__(self, host: str, _: int) -> list[str]:
        self.asked.append(host)
        answers = self._answers.get(host.partition(".")[0], [["127.0.0.1"]])
        return answers.pop(0) if len(answers) > 1 else answers[0]


def fetcher(port: int, *rules: str, names: Names | None = None, **options: float) -> Fetcher:
    """Return one that may go to any public place, and to the site's port on loopback."""
    policy = UrlPolicy.of([f"127.0.0.1:{port}", f"*.example:{port}", *rules])
    return Fetcher(policy, resolve=names or Names(), **options)


async def get(fetch: Fetcher, url: str, most_bytes: int = 1000) -> FetchedContent:
    return await fetch.get(url, most_bytes=most_bytes, place="input[0]", code="invalid_image_url")


async def refused(fetch: Fetcher, url: str, message: str) -> InvalidInput:
    with pytest.raises(InvalidInput, match=message) as caught:
        await get(fetch, url)
    assert (caught.value.param, caught.value.code, caught.value.status) == ("input[0]", "invalid_image_url", 400)
    return caught.value


async def test_what_stands_at_a_url_is_fetched_with_its_type():
    async with site() as at:
        url = at.says("/a?b=c", b"hello", "content-type: text/plain")
        assert await get(fetcher(at.port), url) == FetchedContent(b"hello", "text/plain")
    lines = at.requests[0].split("\r\n")
    assert lines[0] == "GET /a?b=c HTTP/1.1"
    assert f"host: site.example:{at.port}" in [line.lower() for line in lines]
    assert not any(line.lower().startswith(("cookie", "authorization", "referer")) for line in lines)


async def test_proxies_of_the_environment_are_not_used(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with site() as at:
        assert (await get(fetcher(at.port), at.says("/", b"x"))).data == b"x"


async def test_nothing_is_fetched_where_nothing_is_allowed():
    error = await refused(Fetcher(), "https://example.org/a.png", "this server fetches none")
    assert "--allow-url" in error.message


async def test_a_name_that_stands_for_a_private_address_is_refused_before_anything_is_sent():
    async with site() as at:
        for answers in (
            [["10.0.0.1"]],
            [["93.184.215.14", "127.0.0.2"]],
            [["::1"]],
            [["::ffff:169.254.169.254"]],
            [[]],
        ):
            names = Names(inner=answers)
            await refused(fetcher(at.port, names=names), at.url("/", "inner.example"), "which has no public address")
        assert at.requests == []


async def test_a_name_is_looked_up_once_so_that_it_cannot_move_between_look_and_connection():
    async with site() as at:
        names = Names(moving=[["127.0.0.1"], ["127.0.0.2"]])
        at.says("/", b"x")
        await get(fetcher(at.port, names=names), at.url("/", "moving.example"))
        assert names.asked == ["moving.example"]


async def test_a_redirect_is_followed_to_where_the_rules_allow():
    async with site() as at:
        at.says("/old", b"", "location: /new", status="302 Found")
        at.says("/new", b"moved")
        assert (await get(fetcher(at.port), at.url("/old"))).data == b"moved"


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("http://169.254.169.254/latest/meta-data", "expected one that --allow-url names"),
        ("http://inner.example:{port}/", "no public address"),
        ("file:///etc/passwd", "found the scheme 'file', expected http or https"),
        ("http://a:b@site.example:{port}/", "name or password"),
        ("http://site.example:22/", "found port 22"),
    ],
)
async def test_a_redirect_is_judged_as_the_first_url_was(location, message):
    async with site() as at:
        at.says("/", b"", f"location: {location.format(port=at.port)}", status="307 Temporary Redirect")
        await refused(fetcher(at.port, names=Names(inner=[["10.0.0.1"]])), at.url("/"), message)
        assert len(at.requests) == 1


async def test_redirects_end():
    async with site() as at:
        at.says("/", b"", "location: /", status="301 Moved")
        await refused(fetcher(at.port), at.url("/"), "found more than 3 redirects")
        assert len(at.requests) == 4


async def test_too_much_is_refused_by_what_it_declares():
    async with site() as at:
        with pytest.raises(TooLarge, match="found at least 1001 bytes at the URL, expected at most 1000"):
            await get(fetcher(at.port), at.says("/", b"x" * 1001))


async def test_too_much_is_refused_by_what_comes():
    async with site() as at:
        at.answers["/"] = (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"3e8\r\n" + b"x" * 1000 + b"\r\n1\r\nx"
        )
        with pytest.raises(TooLarge, match="found at least 100"):
            await get(fetcher(at.port), at.url("/"))


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab"])
async def test_a_site_that_falls_silent_is_given_up(answer):
    async with site() as at:
        at.answers["/"] = answer
        await refused(fetcher(at.port, total_s=0.1), at.url("/"), r"no answer from http://.* within 0\.1 s")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "found status 404 at http"),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx", "found content encoding 'gzip'"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "cannot be fetched"),
        (b"HTTP/1.1 302 Found\r\nlocation: http://[\r\ncontent-length: 0\r\n\r\n", "."),
    ],
)
async def test_an_odd_answer_is_told(answer, message):
    async with site() as at:
        at.answers["/"] = answer
        await refused(fetcher(at.port), at.url("/"), message)


async def test_a_place_where_nobody_listens_is_told():
    async with site() as at:
        port = at.port
    await refused(fetcher(port), f"http://site.example:{port}/", "cannot be fetched")


async def test_a_caller_who_leaves_ends_the_fetch():
    async with site() as at:
        at.answers["/"] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab"
        task = asyncio.create_task(get(fetcher(at.port), at.url("/")))
        await at.came.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5):
            await at.left.wait()


async def test_pictures_and_sounds_of_a_chat_are_fetched():
    async with site() as at:
        picture = at.says("/a.gif", PIXEL, "content-type: text/html")
        sound = at.says("/a.wav", (AUDIO / "red-light.wav").read_bytes())
        content = [
            {"type": "image_url", "image_url": {"url": picture}},
            {"type": "audio", "audio": {"url": sound}},
            {"type": "image_url", "image_url": {"url": "data:image/gif;base64," + b64encode(PIXEL).decode()}},
        ]
        body = {"model": "auto", "messages": [{"role": "user", "content": content}]}
        request, _ = await decode(Fields(body), References(fetcher(at.port)))
        fetched, heard, sent = request.messages[0].parts
        assert fetched.pixels.tolist() == sent.pixels.tolist() == [[[255, 0, 0]]]
        assert len(heard.samples) > 16_000
