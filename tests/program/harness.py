"""What stories of the built program are told with: its processes, a way through the tunnel, and the teller."""

import asyncio
import contextlib
import os
import re
import sys
import time
from pathlib import Path

import websockets

ROOT = Path(__file__).resolve().parents[2]
UNDERPASS = ROOT / "target/release/underpass"
LOG = (ROOT / "target/stories/log").open("w")  # what the programs say besides
MIB = 1 << 20
STORIES = []
ASIDE = []


def story(function):
    """A story that is told for each runner: the one inside `up`, and one that is a process of its own."""
    STORIES.append((function, True))
    return function


def once(function):
    """A story that starts what it needs."""
    STORIES.append((function, False))
    return function


def expect(what, *details):
    if not what:
        raise AssertionError(*details)


def aside(function):
    """A story that starts what it needs and mostly waits: it is told beside others."""
    ASIDE.append(function)
    return function


class Program:
    """A process of the program."""

    def __init__(self, process, ready):
        self.process = process
        self.ready = ready
        self.gateway = ready.get("gateway", "")
        self.admin = ready.get("admin", "")
        self.runners = ready.get("runners", "")

    def address(self):
        host, port = self.gateway.removeprefix("http://").split(":")
        return host, int(port)

    async def ends(self, within):
        """Its exit status."""
        return await asyncio.wait_for(self.process.wait(), within)

    def memory(self):
        """Resident bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024


@contextlib.asynccontextmanager
async def program(*arguments, env=None, log=LOG):
    process = await asyncio.create_subprocess_exec(
        UNDERPASS, *arguments, stdout=asyncio.subprocess.PIPE, stderr=log, env={**os.environ, **(env or {})}
    )
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
        expect(line.startswith("ready "), "the first line was", line)
        yield Program(process, dict(word.split("=", 1) for word in line.split()[1:]))
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 10)
            except asyncio.TimeoutError:
                process.kill()
                raise AssertionError("the program did not end in 10 s of being told to", arguments)


def up(*arguments, **options):
    return program("up", "--listen", "127.0.0.1:0", "--runners", "127.0.0.1:0", *arguments, **options)


class Tunnel:
    """A way through the tunnel: the program, a pool, and the server behind it."""

    def __init__(self, program, pool, target, processes):
        self.program, self.pool, self.target, self.processes = program, pool, target, processes
        self.url = program.gateway

    async def curl(self, *arguments, data=None):
        """What curl prints, and its exit status."""
        process = await asyncio.create_subprocess_exec(
            *("curl", "-sS", "-H", f"x-underpass-pool: {self.pool}", "--max-time", "60", *arguments),
            stdin=asyncio.subprocess.PIPE if data is not None else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate(data)
        return out, err.decode(), process.returncode

    async def ok(self, *arguments, data=None):
        out, err, status = await self.curl(*arguments, data=data)
        expect(status == 0, "curl", arguments, status, err)
        return out

    async def raw(self, request):
        """A connection on which a request's head was sent."""
        reader, writer = await asyncio.open_connection(*self.program.address(), limit=1 << 16)
        writer.write(request.replace("\n", "\r\n").format(pool=self.pool).encode())
        await writer.drain()
        return reader, writer

    def socket(self, path="/ws", **options):
        url = self.url.replace("http", "ws") + path
        headers = {"x-underpass-pool": self.pool}
        options = {"max_size": None, "compression": None, "additional_headers": headers, **options}
        return websockets.connect(url, **options)

    def memory(self):
        return max(process.memory() for process in self.processes)


async def fails(*arguments, env=None, within=10):
    """One clear line and a status other than zero."""
    process = await asyncio.create_subprocess_exec(
        *(UNDERPASS, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "RUST_BACKTRACE": "1", **(env or {})},
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), within)
    except asyncio.TimeoutError:
        process.kill()
        raise AssertionError("it did not end", arguments)
    lines = err.decode().strip().splitlines()
    expect(process.returncode != 0 and not out, arguments, process.returncode, out)
    expect(len(lines) == 1 and lines[0].startswith("underpass: "), arguments, err.decode())
    return lines[0]


async def tell(name, telling, together=False):
    """Tells a story, and says how it went; alone on its line unless others are told at the same time."""
    if not together:
        print(name, end="", flush=True)
    start = time.monotonic()
    try:
        await asyncio.wait_for(telling, 120)
        outcome = f"ok ({time.monotonic() - start:.1f} s)"
    except Exception as error:  # the next story is told all the same
        outcome = f"FAILED: {type(error).__name__}: {error}"
    print(f"{name if together else ''}  {outcome}", flush=True)
    return outcome.startswith("ok")


def conclude(outcomes):
    """The last lines, and the exit status."""
    if not all(outcomes):
        print(f"what the programs said: {LOG.name}")
    print(f"{outcomes.count(True)} passed, {outcomes.count(False)} failed")
    sys.exit(0 if all(outcomes) and outcomes else 1)
