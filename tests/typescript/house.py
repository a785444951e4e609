"""What a story of the published runner happens in: the program, a runner, and a client."""

import asyncio
import contextlib
import json
import time

import aiohttp
import websockets

from harness import expect, up
from published import published

SHARED = []
SINGLE = []
POOL = "actors"


def story(function):
    """A story that is told for each version of the package, on one runner for all of them."""
    SHARED.append(function)
    return function


def once(function):
    """A story that starts what it needs, told for the first version wanted."""
    SINGLE.append((function, lambda version, first: version == first))
    return function


def older(function):
    """The same, told for each version whose runner takes its key from its program."""
    SINGLE.append((function, lambda version, _: version != "2.2.1"))
    return function


def each(function):
    """A story that starts what it needs, told for each version of the package."""
    SINGLE.append((function, lambda *_: True))
    return function


class Answer:
    """What a client got, and how long that took."""

    def __init__(self, response, body, seconds):
        self.status, self.headers, self.body, self.seconds = response.status, response.headers, body, seconds

    @property
    def text(self):
        return self.body.decode()

    @property
    def code(self):
        """The failure's code."""
        return self.headers.get("x-underpass-error")

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.code} {self.body[:80]} after {self.seconds:.1f} s"


class Client:
    """Asks a gateway for actors of a pool."""

    def __init__(self, session, gateway, pool=POOL):
        self.session, self.gateway, self.pool = session, gateway, pool

    async def ask(self, actor, path="/hello", method="GET", data=None, pool=None):
        start = time.monotonic()
        url, headers = f"{self.gateway}/gateway/{actor}{path}", {"x-underpass-pool": pool or self.pool}
        async with self.session.request(method, url, data=data, headers=headers) as response:
            return Answer(response, await response.read(), time.monotonic() - start)

    async def ok(self, *arguments, **options):
        answer = await self.ask(*arguments, **options)
        expect(answer.status == 200, arguments, answer)
        return answer

    async def who(self, actor):
        return (await self.ok(actor, "/who")).json()

    async def kv(self, actor, *call):
        """A call of the runner's key-value store; its error, as text, if it has one."""
        answer = await self.ask(actor, "/kv", "POST", data=json.dumps(call))
        expect(answer.status in (200, 400), call, answer)
        return answer.json() if answer.status == 200 else answer.text

    def socket(self, actor, path="/socket", pool=None):
        url = f"{self.gateway.replace('http', 'ws', 1)}/gateway/{actor}{path}"
        headers = {"x-underpass-pool": pool or self.pool}
        return websockets.connect(url, max_size=None, compression=None, additional_headers=headers)


@contextlib.asynccontextmanager
async def client(program, pool=POOL):
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield Client(session, program.gateway, pool)


class House:
    """A program, a runner of one version behind it, and a client in front."""

    def __init__(self, version, program, runner, client):
        self.version, self.program, self.runner, self.client = version, program, runner, client


@contextlib.asynccontextmanager
async def house(version, log=None, **settings):
    """The settings are the runner's; a log of its own says at the end what was counted."""
    counting = up("--log", "underpass=info", log=log) if log else up()
    async with counting as program, published(version, program.runners, **settings) as runner:
        async with client(program) as one:
            yield House(version, program, runner, one)


async def answers(socket, message, within=10):
    """An echo."""
    await socket.send(message)
    got = await asyncio.wait_for(socket.recv(), within)
    expect(got == message, got[:80])


async def closed(socket, within=10):
    """How a socket was closed."""
    await asyncio.wait_for(socket.wait_closed(), within)
    return socket.close_code, socket.close_reason


async def until(what, within=10):
    """Asks again and again until it is so."""

    async def asking():
        while not (found := await what()):
            await asyncio.sleep(0.05)
        return found

    return await asyncio.wait_for(asking(), within)
