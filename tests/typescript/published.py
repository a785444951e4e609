"""Processes on the published runner, and what they tell."""

import asyncio
import contextlib
import json
import os
import signal
import time

from harness import LOG, ROOT, expect

VERSIONS = {"2.2.1": 7, "2.1.5": 6, "2.1.3": 5, "2.0.33": 5}  # of the package, and of the protocol
INSTALLED = ROOT / "target/typescript"


class Published:
    """A process on the published runner."""

    def __init__(self, process):
        self.process = process
        self.told = []
        self.news = asyncio.Event()
        self.reading = asyncio.create_task(self.read())

    async def read(self):
        while line := await self.process.stdout.readline():
            told = json.loads(line) if line.startswith(b"{") else {"what": line.decode().strip()}
            self.told.append({"at": time.monotonic(), **told})
            self.news.set()

    def all(self, what, **details):
        """What it has told so far of one kind."""
        wanted = {"what": what, **details}.items()
        return [told for told in self.told if wanted <= told.items()]

    async def tells(self, what, times=1, within=10, **details):
        """Waits until something has happened so often."""

        async def enough():
            while len(self.all(what, **details)) < times:
                self.news.clear()
                await self.news.wait()

        try:
            await asyncio.wait_for(enough(), within)
        except asyncio.TimeoutError:
            raise AssertionError(f"no {what!r} {details} ({times}) in {within} s, but", self.told[-5:])
        return self.all(what, **details)[times - 1]

    async def end(self, how=signal.SIGKILL):
        if self.process.returncode is None:
            # Not by the process's own means: that would take its exit status away from who waits for it.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, how)
        return await asyncio.wait_for(self.process.wait(), 20)


@contextlib.asynccontextmanager
async def published(version, relay, program="runner.mjs", connects=True, **settings):
    """A runner of that version of the package; settings are those of the program."""
    settings = {name.upper(): str(value) for name, value in settings.items()}
    environment = {**os.environ, "RELAY": relay, "KEY": f"key-{os.urandom(8).hex()}", **settings}
    process = await asyncio.create_subprocess_exec(
        *("node", INSTALLED / version / program), stdout=asyncio.subprocess.PIPE, stderr=LOG, env=environment
    )
    runner = Published(process)
    try:
        if connects:
            await runner.tells("connected")
        yield runner
    finally:
        await runner.end()
        await runner.reading


class Cable:
    """The network between a runner and its relay. It can be cut, and it sees the key that a runner dials with."""

    def __init__(self, relay):
        host, port = relay.removeprefix("ws://").split(":")
        self.relay = host, int(port)
        self.ends = []
        self.whole = True
        self.key = None

    @contextlib.asynccontextmanager
    async def laid(self):
        server = await asyncio.start_server(self.connect, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        self.url = f"ws://{host}:{port}"
        try:
            yield self
        finally:
            server.close()
            self.cut()

    async def connect(self, reader, writer):
        if not self.whole:
            return writer.transport.abort()
        asking = await reader.readline()
        self.key = asking.split(b"runner_key=")[1].split()[0].split(b"&")[0].decode()
        there, onward = await asyncio.open_connection(*self.relay)
        onward.write(asking)
        self.ends += [writer, onward]
        await asyncio.gather(self.carry(reader, onward), self.carry(there, writer))

    async def carry(self, reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    def cut(self, whole=True):
        """Breaks what is connected. New connections come about, or not."""
        self.whole = whole
        for end in self.ends:
            end.transport.abort()
        self.ends = []

    def mend(self):
        expect(not self.whole, "it was not cut")
        self.whole = True
