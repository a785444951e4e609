"""Runners of other makes and versions beside each other, and one that says what is not its own to say."""

import asyncio
import contextlib
import re
import tempfile

from websockets import ConnectionClosed

from harness import MIB, expect, fails, program, up
from house import POOL, answers, client, closed, house, once
from published import published
from raw import raw, whole


@once
async def each_pool_has_its_own_runners(version):
    async with house(version) as one, program("runner", "--relay", one.program.runners, "--name", "demo"):
        for _ in range(5):
            expect((await one.client.ok("someone", "/hello")).text == "hello from someone")
            expect((await one.client.ok("someone", "/hello", pool="demo")).text == "hello")


@once
async def a_pool_is_of_one_kind(version):
    async with house(version) as one:
        line = await fails("runner", "--relay", one.program.runners, "--name", POOL)
        expect("1008" in line and POOL in line, line)
        async with published(version, one.program.runners, connects=False, pool="default") as other:
            told = await other.tells("disconnected")
            expect(told["code"] == 1008 and told["reason"], told)
        expect((await one.client.ok("someone")).text == "hello from someone")


@once
async def a_stranger_answers_nobody(version):
    with tempfile.NamedTemporaryFile("w+") as log:
        async with house(version, log=log) as one:
            for namespace in ("default", "another"):
                async with raw(7, one.program.runners, "strangers", namespace=namespace) as stranger:
                    await answer_for_another(one, stranger)
                    await speak_for_another(one, stranger)
        counted = re.search(r"unrouted: (\d+)", log_of(log))
        expect(counted and int(counted[1]) == FORGED, log_of(log))


FORGED = 2 * (3 + 3)  # frames, as below


async def answer_for_another(one, stranger):
    """An HTTP request."""
    before = len(one.runner.all("request", name="slow"))
    slow = asyncio.create_task(one.client.ok("honest", "/slow/1000", "POST", data=b"x"))
    told = await one.runner.tells("request", before + 1, name="slow")
    request = {"gatewayId": told["gateway"], "requestId": told["request"]}
    await stranger.tunnel(request, "ToServerResponseStart", whole("forged"))
    await stranger.tunnel(request, "ToServerResponseChunk", {"body": b"forged".hex(), "finish": True})
    await stranger.tunnel(request, "ToServerResponseAbort")
    expect((await slow).text == "slow")


async def speak_for_another(one, stranger):
    """An open WebSocket."""
    before = len(one.runner.all("socket"))
    async with one.client.socket("honest") as socket:
        await answers(socket, "before")
        told = await one.runner.tells("socket", before + 1)
        request = {"gatewayId": told["gateway"], "requestId": told["request"]}
        await stranger.tunnel(request, "ToServerWebSocketOpen", {"canHibernate": True})
        await stranger.tunnel(request, "ToServerWebSocketMessage", {"data": b"forged".hex(), "binary": False})
        close = {"code": 4000, "reason": "forged", "hibernate": False}
        await stranger.tunnel(request, "ToServerWebSocketClose", close)
        await asyncio.sleep(1)
        await answers(socket, "after")


def log_of(file):
    file.seek(0)
    return file.read()


@once
async def a_runner_that_breaks_the_rules_is_told_so_and_costs_nobody_else(version):
    async def text(runner):
        await runner.socket.send("text")

    async def malformed(runner):
        await runner.socket.send(b"\xff")

    async def too_large(runner):
        await runner.socket.send(bytes(64 * MIB))

    async def again(runner):
        await runner.introduces_itself("wild")

    async def too_early(runner):
        await runner.tunnel({"gatewayId": "01020304", "requestId": "05060708"}, "ToServerResponseAbort")

    async with house(version) as one:
        for breaks, silent, code, reason in (
            (text, False, 1003, "relay.text"),
            (malformed, False, 1002, "relay.malformed"),
            (too_large, False, 1009, ""),
            (again, False, 1002, "relay.out_of_turn"),
            (too_early, True, 1002, "relay.out_of_turn"),
        ):
            async with raw(7, one.program.runners, "wild", silent=silent) as runner:
                with contextlib.suppress(ConnectionClosed):
                    await breaks(runner)
                told = await closed(runner.socket)
                expect(told[0] == code and told[1].startswith(reason), breaks.__name__, told)
        # What it says of others' actors is heard by nobody.
        async with raw(7, one.program.runners, "wild") as runner:
            generation = (await one.client.who("someone"))["generation"]
            for life in (("someone", generation), ("none", 1)):
                await runner.event(life, 0, "EventActorStateUpdate", {"state": STOPPED})
            await asyncio.sleep(0.5)
            expect(runner.socket.close_code is None, runner.socket.close_reason)
        expect((await one.client.who("someone"))["generation"] == generation)
        expect(len(one.runner.all("started")) == 1)


STOPPED = {"tag": "ActorStateStopped", "val": {"code": "OK", "message": None}}


@once
async def runners_of_every_version_serve_beside_each_other(_):
    async with up() as program, client(program) as one:
        await asyncio.gather(*(speaks(version, program, one) for version in range(1, 8)))


async def speaks(version, program, one):
    """HTTP and a WebSocket through a runner of that version."""
    pool = f"v{version}"
    async with raw(version, program.runners, pool) as runner:
        sent = []
        asked = asyncio.create_task(one.ok("actor", "/path?x=1", "POST", data=b"body", pool=pool))
        await runner.starts("actor")
        request, start = await runner.serves()
        expect((start["path"], start["body"], start["stream"]) == ("/path?x=1", b"body".hex(), False), start)
        sent.append(await runner.tunnel(request, "ToServerResponseStart", whole(f"version {version}")))
        expect((await asked).text == f"version {version}")

        opened = asyncio.create_task(runner.opens())
        async with one.socket("actor", pool=pool) as socket:
            request = await opened
            for data in ("text", b"\x00\xff"):
                await socket.send(data)
                heard = (await runner.hears("ToClientWebSocketMessage"))["messageKind"]["val"]
                echo = {"data": heard["data"], "binary": heard["binary"]}
                sent.append(await runner.tunnel(request, "ToServerWebSocketMessage", echo))
                expect(await asyncio.wait_for(socket.recv(), 5) == data, version)
            bye = {1: {}, 2: {"retry": False}}.get(version, {"hibernate": False})
            await runner.tunnel(request, "ToServerWebSocketClose", {"code": 4003, "reason": "bye", **bye})
            expect(await closed(socket) == (4003, "bye"), version)
        if version < 3:
            expect(set(sent) <= set(runner.acknowledged), "each message is acknowledged", version)
