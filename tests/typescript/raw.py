"""A runner of the tests' own, of any version of the protocol, that says what a story wants it to say."""

import asyncio
import contextlib
import json
import os
import uuid

import websockets

from harness import LOG, UNDERPASS, expect


class Codec:
    """Frames and what they say, by `underpass encode` and `underpass decode`: a line in, a line out."""

    def __init__(self, process):
        self.process = process
        self.in_turn = asyncio.Lock()

    @classmethod
    async def start(cls, command, version, union):
        arguments = (command, "--version", str(version), "--union", union)
        pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE, "stderr": LOG, "limit": 1 << 24}
        return cls(await asyncio.create_subprocess_exec(UNDERPASS, *arguments, **pipes))

    async def turn(self, line):
        async with self.in_turn:
            self.process.stdin.write(line.encode() + b"\n")
            line = (await self.process.stdout.readline()).decode().strip()
        expect(line and not line.startswith("error"), line)
        return line

    async def end(self):
        self.process.stdin.close()
        await self.process.wait()


class Raw:
    """A connection of such a runner."""

    def __init__(self, version, socket, encoder, decoder):
        self.version, self.socket, self.encoder, self.decoder = version, socket, encoder, decoder
        self.heard = []
        self.news = asyncio.Event()
        self.acknowledged = []  # message ids of its own, by relays of versions 1 and 2
        self.sent = {}
        self.reading = asyncio.create_task(self.read())

    async def say(self, tag, value=None):
        await self.socket.send(bytes.fromhex(await self.encoder.turn(json.dumps({"tag": tag, "val": value}))))

    async def read(self):
        with contextlib.suppress(websockets.ConnectionClosed):
            async for frame in self.socket:
                message = json.loads(await self.decoder.turn(frame.hex()))
                tag, value = message["tag"], message["val"]
                if tag == "ToClientPing":
                    await self.say("ToServerPong", value)
                    continue
                if tag == "ToClientTunnelMessage" and value["messageKind"]["tag"] == "TunnelAck":
                    self.acknowledged.append(value["messageId"])
                    continue
                self.heard.append(message)
                self.news.set()

    async def hears(self, tag, within=10):
        """The next message of that kind, less what came before it."""

        async def next_one():
            while True:
                while self.heard:
                    message = self.heard.pop(0)
                    if tag in (message["tag"], kind_of(message)):
                        return message["val"]
                self.news.clear()
                await self.news.wait()

        try:
            return await asyncio.wait_for(next_one(), within)
        except asyncio.TimeoutError:
            raise AssertionError(f"no {tag} in {within} s")

    async def introduces_itself(self, pool):
        init = {"name": pool, "version": 1, "totalSlots": 100, "prepopulateActorNames": None, "metadata": None}
        await self.say("ToServerInit", {**init, "lastCommandIdx": None} if self.version < 4 else init)

    async def starts(self, actor=None, within=10):
        """Obeys the next command, which must be a start, and says that the actor runs: its id and generation."""
        commands = await self.hears("ToClientCommands", within)
        expect([command["inner"]["tag"] for command in commands] == ["CommandStartActor"], commands)
        fields = {**commands[0], **commands[0].get("checkpoint", {}), **commands[0]["inner"]["val"]}
        life = fields["actorId"], fields["generation"]
        expect(actor in (None, life[0]), life)
        await self.runs(life)
        return life

    async def runs(self, life, index=0):
        """Says that an actor runs, as the event of that index."""
        await self.event(life, index, "EventActorStateUpdate", {"state": {"tag": "ActorStateRunning", "val": None}})

    async def event(self, life, index, tag, value):
        actor, generation, index = *life, str(index)
        named = {"actorId": actor, "generation": generation}
        inner = {"tag": tag, "val": value if self.version > 4 else {**named, **value}}
        match self.version:
            case 1 | 2 | 3:
                wrapped = {"index": index, "inner": inner}
            case 4:
                wrapped = {"checkpoint": {"actorId": actor, "index": index}, "inner": inner}
            case _:
                wrapped = {"checkpoint": {**named, "index": index}, "inner": inner}
        await self.say("ToServerEvents", [wrapped])

    async def tunnel(self, to, kind, value=None):
        """A tunnel message for the request that a message was for, or for a stranger's: the id of a v1 or v2 one."""
        message_kind = {"tag": kind, "val": value}
        if self.version < 3:
            message_id = uuid.uuid4().hex
            named = {"requestId": to["requestId"], "messageId": message_id}
        else:
            number = self.sent.get(to["requestId"], 0)
            self.sent[to["requestId"]] = number + 1
            message_id = {"gatewayId": to["gatewayId"], "requestId": to["requestId"], "messageIndex": number}
            named = {"messageId": message_id}
        await self.say("ToServerTunnelMessage", {**named, "messageKind": message_kind})
        return message_id

    async def serves(self, within=10):
        """Takes the next HTTP request: what names it, and its start."""
        message = await self.hears("ToClientRequestStart", within)
        return request_of(message), message["messageKind"]["val"]

    async def opens(self, within=10):
        """Takes the next WebSocket: what names it."""
        request = request_of(await self.hears("ToClientWebSocketOpen", within))
        fields = {"canHibernate": False, "lastMsgIndex": "-1"} if self.version == 2 else {"canHibernate": False}
        await self.tunnel(request, "ToServerWebSocketOpen", fields if self.version > 1 else None)
        return request


def kind_of(message):
    """The kind of a tunnel message."""
    return message["val"]["messageKind"]["tag"] if message["tag"] == "ToClientTunnelMessage" else None


def request_of(message):
    """What names the request of a tunnel message."""
    return message["messageId"] if isinstance(message["messageId"], dict) else {"requestId": message["requestId"]}


def whole(text, status=200):
    """An HTTP answer."""
    return {"status": status, "headers": [], "body": text.encode().hex(), "stream": False}


@contextlib.asynccontextmanager
async def raw(version, relay, pool, key=None, namespace="default", silent=False):
    """A runner of that version of the protocol, with no handler but the story. A silent one does not say who it is."""
    key = key or f"raw-{os.urandom(8).hex()}"
    url = f"{relay}/runners/connect?protocol_version={version}&namespace={namespace}&runner_key={key}"
    encoder = await Codec.start("encode", version, "ToServer")
    decoder = await Codec.start("decode", version, "ToClient")
    try:
        async with websockets.connect(url, subprotocols=["rivet"], max_size=None, compression=None) as socket:
            runner = Raw(version, socket, encoder, decoder)
            runner.key = key
            if not silent:
                await runner.introduces_itself(pool)
                runner.id = (await runner.hears("ToClientInit"))["runnerId"]
            yield runner
        runner.reading.cancel()
    finally:
        await encoder.end()
        await decoder.end()
