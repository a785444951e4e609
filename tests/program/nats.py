"""A nats-server for a story: on a port of its own, with a store that goes with it."""

import asyncio
import contextlib
import signal
import tempfile
from pathlib import Path

from harness import expect

LISTENING = "Listening for client connections on "


class NatsServer:
    def __init__(self, directory, configuration):
        self.directory, self.configuration = Path(directory), configuration
        self.address = "127.0.0.1:-1"
        self.process = None
        self.log = []

    @property
    def url(self):
        return f"nats://{self.address}"

    def url_of(self, user):
        """The URL with USER:PASSWORD in it."""
        return f"nats://{user}@{self.address}"

    async def start(self, jetstream=True):
        """Starts it; again at the same address, with what it has stored."""
        store = f'jetstream {{ store_dir: "{self.directory}/store" }}\n' if jetstream else ""
        file = self.directory / "nats.conf"
        file.write_text(f'listen: "{self.address}"\n{store}{self.configuration}\n')
        self.process = await asyncio.create_subprocess_exec(
            "nats-server", "--config", file, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        while True:
            line = (await asyncio.wait_for(self.process.stderr.readline(), 10)).decode()
            expect(line, "nats-server did not start", self.log)
            self.log.append(line)
            if LISTENING in line:
                self.address = line.split(LISTENING)[1].strip()
            if "Server is ready" in line:
                break
        asyncio.create_task(self.listen(self.process))

    async def listen(self, process):
        while line := (await process.stderr.readline()).decode():
            self.log.append(line)

    async def kill(self):
        if self.process and self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
            await self.process.wait()


@contextlib.asynccontextmanager
async def nats_server(configuration="", jetstream=True):
    with tempfile.TemporaryDirectory() as directory:
        server = NatsServer(directory, configuration)
        await server.start(jetstream)
        try:
            yield server
        finally:
            await server.kill()
