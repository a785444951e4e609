"""The server that stands behind the tunnel: it does what each story needs, and notes what it saw."""

import asyncio
import contextlib

from aiohttp import WSMsgType, web

CHUNK = bytes(range(256)) * 256  # 64 KiB


def pattern(length: int) -> bytes:
    """The bytes of a download of this length."""
    return (CHUNK * (length // len(CHUNK) + 1))[:length]


class Target:
    """Routes, and notes that stories wait for."""

    def __init__(self) -> None:
        self.notes: dict[str, asyncio.Event] = {}
        self.read = 0
        self.port = 0

    def note(self, name: str) -> asyncio.Event:
        """Something that a handler will have seen."""
        return self.notes.setdefault(name, asyncio.Event())

    @contextlib.asynccontextmanager
    async def serving(self):
        app = web.Application(client_max_size=1 << 40)
        app.add_routes(
            [
                web.get("/hello", self.hello),
                web.route("*", "/echo", self.echo),
                web.get("/nothing", self.nothing),
                web.get("/headers", self.headers),
                web.get("/events", self.events),
                web.get("/download/{length}", self.download),
                web.get("/seen", self.seen),
                web.get("/breaks", self.breaks),
                web.post("/watched", self.watched),
                web.post("/stops", self.stops),
                web.get("/forever", self.forever),
                web.get("/ws", self.ws),
            ]
        )
        runner = web.AppRunner(app, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, shutdown_timeout=0.1)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    async def hello(self, request: web.Request) -> web.Response:
        return web.Response(text="hello", headers={"x-path": request.path_qs})

    async def echo(self, request: web.Request) -> web.StreamResponse:
        # A client that waits for `100 Continue` is owed none once its answer has begun: first something of its body.
        first = await request.content.readany()
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(first)
        async for data in request.content.iter_any():
            await response.write(data)
        return response

    async def nothing(self, _: web.Request) -> web.Response:
        return web.Response(status=204)

    async def headers(self, _: web.Request) -> web.Response:
        response = web.Response(text="headers")
        for number in range(17):
            response.headers.add("x-many", str(number))
        for cookie in ("a=1; Expires=Wed, 09 Jun 2027 10:18:14 GMT", "b=2, 3", "c=4"):
            response.headers.add("set-cookie", cookie)
        return response

    async def seen(self, request: web.Request) -> web.Response:
        return web.json_response([[name, value] for name, value in request.headers.items()])

    async def events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        loop = asyncio.get_running_loop()
        for _ in range(20):
            await response.write(f"data: {loop.time()}\n\n".encode())
            await asyncio.sleep(0.1)
        return response

    async def download(self, request: web.Request) -> web.StreamResponse:
        left = int(request.match_info["length"])
        response = web.StreamResponse(headers={"content-length": str(left)})
        await response.prepare(request)
        while left:
            piece = CHUNK[: min(left, len(CHUNK))]
            await response.write(piece)
            left -= len(piece)
        return response

    async def breaks(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        await asyncio.sleep(0.2)
        request.transport.abort()
        return response

    async def watched(self, request: web.Request) -> web.Response:
        total = 0
        async for data in request.content.iter_any():
            total += len(data)
            self.note("first bytes").set()
        return web.Response(text=str(total))

    async def stops(self, request: web.Request) -> web.Response:
        self.read = 0
        good = True
        async for data in request.content.iter_any():
            start = self.read % len(CHUNK)
            good = good and (CHUNK * (len(data) // len(CHUNK) + 2))[start : start + len(data)] == data
            self.read += len(data)
            if not self.note("stopped reading").is_set() and self.read > 1 << 20:
                self.note("stopped reading").set()
                await self.note("read on").wait()
        return web.Response(text=f"{self.read} {good}")

    async def forever(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"tick\n")
                await asyncio.sleep(0.02)
        finally:
            self.note("forever ended").set()

    async def ws(self, request: web.Request) -> web.WebSocketResponse:
        offered = request.headers.get("sec-websocket-protocol", "")
        socket = web.WebSocketResponse(protocols=[offered] if offered else (), max_msg_size=0, autoping=True)
        await socket.prepare(request)
        async for message in socket:
            if message.type == WSMsgType.TEXT and message.data.startswith("close "):
                _, code, reason = message.data.split(" ", 2)
                await socket.close(code=int(code), message=reason.encode())
            elif message.type == WSMsgType.TEXT:
                await socket.send_str(message.data)
            elif message.type == WSMsgType.BINARY:
                await socket.send_bytes(message.data)
        self.closed = socket.close_code
        self.note("socket closed").set()
        return socket
