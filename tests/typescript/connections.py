"""Runners and relays that go away and come back."""

import asyncio
import contextlib
import os
import signal
import tempfile
import time

from harness import expect, program, up
from house import POOL, House, answers, client, closed, each, house, older, once
from published import Cable, published
from raw import raw, whole

LOST = 20  # seconds until the actors of a runner that went away without a word are placed anew


@each
async def a_process_that_is_killed_costs_its_requests_soon_and_its_actors_come_back(version):
    async with house(version) as one:
        before = (await one.client.who("home"))["generation"]
        get = asyncio.create_task(one.client.ask("home", "/slow/60000"))
        post = asyncio.create_task(one.client.ask("home", "/slow/60000", "POST", data=b"x"))
        await one.runner.tells("request", 2, name="slow")
        async with one.client.socket("home") as socket:
            await answers(socket, "open")
            killed = time.monotonic()
            await one.runner.end(signal.SIGKILL)
            code, reason = await closed(socket, 2)
            expect(code == 1011 and reason.startswith("runner_lost#"), code, reason)
        # A POST may have been done; a GET is sent again if its actor is back in time, and here it is not.
        expect(((await post).status, (await post).code) == (502, "runner_lost"), await post)
        expect(time.monotonic() - killed < 2)
        async with published(version, one.program.runners) as again:
            expect(((await get).status, (await get).code) == (502, "runner_lost"), await get)
            expect(4 < time.monotonic() - killed < 8, await get)
            who = await one.client.who("home")
            expect(who["process"] == again.process.pid and who["generation"] == before + 1, who)
            expect(LOST - 1 < time.monotonic() - killed < LOST + 5, time.monotonic() - killed)
            expect(not again.all("request", name="slow"), "a second delivery")


@older
async def a_new_process_under_the_same_key_has_its_actors_at_once(version):
    async with house(version, key="the-same") as one:
        await one.client.ok("home")
        await one.runner.end(signal.SIGKILL)
        async with published(version, one.program.runners, key="the-same") as again:
            answer = await one.client.ok("home")
            await again.tells("started", actor="home")
            expect(answer.seconds < 4 and len(again.all("started", actor="home")) == 1, answer)


@each
async def a_runner_that_shuts_down_finishes_what_is_open(version):
    async with house(version) as one, published(version, one.program.runners) as other:
        home = (await one.client.who("moving"))["process"]
        leaving, staying = (one.runner, other) if home == one.runner.process.pid else (other, one.runner)
        slow = asyncio.create_task(one.client.ok("moving", "/slow/2000", "POST", data=b"x"))
        await leaving.tells("request", name="slow")
        async with one.client.socket("moving") as socket:
            await answers(socket, "open")
            os.kill(leaving.process.pid, signal.SIGTERM)
            await asyncio.sleep(0.5)
            meanwhile = asyncio.create_task(one.client.who("moving"))
            code, reason = await closed(socket)
            expect(code == 1001, code, reason)
        expect((await slow).text == "slow")
        await leaving.tells("shut down")
        expect((await meanwhile)["process"] == staying.process.pid)
        expect(len(leaving.all("request", name="slow")) == 1 and not staying.all("request", name="slow"))


@once
async def an_actor_whose_runners_are_all_gone_fails_in_time(version):
    async with house(version) as one:
        await one.client.ok("orphan")
        await one.runner.end(signal.SIGTERM)
        answer = await one.client.ask("orphan")
        expect((answer.status, answer.code) == (503, "actor_start_timeout"), answer)
        expect("retry-after" in answer.headers and 29 < answer.seconds < 33, answer)


@each
async def a_relay_that_is_killed_and_started_again_serves_again(version):
    with tempfile.TemporaryDirectory() as data:
        async with up("--data", data) as first, published(version, first.runners) as runner, client(first) as one:
            await one.kv("keeper", "kvPut", [["kept", "yes"]])
            first.process.kill()
            await first.process.wait()
            await runner.tells("disconnected")
            async with program(*again(first), "--data", data):
                await runner.tells("connected", 2, within=20)
                expect(await one.kv("keeper", "kvGet", ["kept"]) == ["yes"])
                async with one.socket("keeper") as socket:
                    await answers(socket, "open")


@each
async def a_relay_that_was_started_again_starts_no_actor_over_one_that_lives(version):
    actors = [f"actor-{number}" for number in range(10)]
    async with up() as first, published(version, first.runners) as runner, client(first) as one:
        for actor in actors:
            await one.ok(actor)
        first.process.kill()
        await first.process.wait()
        await runner.tells("disconnected")
        async with program(*again(first)):
            await runner.tells("connected", 2, within=20)
            for answer in await asyncio.gather(*(one.ok(actor) for actor in actors)):
                expect(answer.seconds < 10, answer)
            for actor in actors:
                await runner.tells("started", 2, actor=actor)
                lives = [told for told in runner.told if told["what"] in ("started", "stopped") and told["actor"] == actor]
                expect([life["what"] for life in lives] == ["started", "stopped", "started"], lives)
                old, _, new = (life["generation"] for life in lives)
                expect(old < new, lives)


@each
async def a_relay_that_shuts_down_finishes_what_is_open(version):
    async with up() as first, published(version, first.runners) as runner, client(first) as one:
        slow = asyncio.create_task(one.ok("patient", "/slow/2000", "POST", data=b"x"))
        await runner.tells("request", name="slow")
        first.process.terminate()
        expect((await slow).text == "slow")
        expect(await asyncio.wait_for(first.process.wait(), 12) == 0)
        told = await runner.tells("disconnected")
        expect(told["code"] == 1001 and told["reason"].startswith("relay.draining"), told)
        async with program(*again(first)):
            await runner.tells("connected", 2, within=20)
            expect((await one.ok("patient")).text == "hello from patient")


def again(first):
    """The same program once more."""
    return "up", "--listen", first.gateway.removeprefix("http://"), "--runners", first.runners.removeprefix("ws://")


@contextlib.asynccontextmanager
async def cabled(version, **settings):
    """A house whose runner's network can be cut."""
    async with up() as program, Cable(program.runners).laid() as cable:
        async with published(version, cable.url, **settings) as runner, client(program) as one:
            yield House(version, program, runner, one), cable


@each
async def a_cut_connection_costs_what_is_open_and_no_actor(version):
    async with cabled(version) as (one, cable):
        await one.client.kv("steady", "kvPut", [["a", "1"]])
        get = asyncio.create_task(one.client.ok("steady", "/slow/1000"))
        post = asyncio.create_task(one.client.ask("steady", "/slow/1000", "POST", data=b"x"))
        await one.runner.tells("request", 2, name="slow")
        async with one.client.socket("steady") as socket:
            await answers(socket, "open")
            cable.cut()
            code, reason = await closed(socket, 2)
            expect(code == 1011 and reason.startswith("runner_lost#"), code, reason)
        expect(((await post).status, (await post).code) == (502, "runner_lost"), await post)
        # The actor is back within the grace, so the GET is sent again.
        expect((await get).text == "slow")
        expect(len(one.runner.all("request", name="slow")) == 3)
        await one.runner.tells("connected", 2)
        expect(await one.client.kv("steady", "kvGet", ["a"]) == ["1"])
        async with one.client.socket("steady") as socket:
            await answers(socket, "again")
        await asyncio.sleep(2)
        expect(len(one.runner.all("started")) == 1 and not one.runner.all("stopped"), one.runner.told)


@once
async def requests_wait_while_a_runner_is_away(version):
    async with cabled(version) as (one, cable):
        await one.client.ok("waited-for")
        cable.cut(whole=False)
        await one.runner.tells("disconnected")
        waiting = asyncio.create_task(one.client.ok("waited-for", "/hello", "POST", data=b"x"))
        await asyncio.sleep(3)
        expect(not waiting.done())
        cable.mend()
        expect((await waiting).text == "hello from waited-for")
        expect(len(one.runner.all("started")) == 1, one.runner.told)


@once
async def a_runner_that_stays_away_stops_its_actors_and_another_takes_them(version):
    async with cabled(version) as (one, cable):
        before = (await one.client.who("moved"))["generation"]
        cut = time.monotonic()
        cable.cut(whole=False)
        async with published(version, one.program.runners) as other:
            who = await one.client.who("moved")
            expect(who["process"] == other.process.pid and who["generation"] == before + 1, who)
            expect(LOST - 1 < time.monotonic() - cut < LOST + 5, time.monotonic() - cut)
            stopped = await one.runner.tells("stopped", actor="moved")
            started = await other.tells("started", actor="moved")
            expect(stopped["at"] < started["at"], "it ran twice")


@each
async def a_runner_whose_key_another_takes_stays_away(version):
    async with cabled(version) as (one, cable):
        async with raw(7, one.program.runners, POOL, key=cable.key):
            told = await one.runner.tells("disconnected")
            expect(told["code"] == 1000 and told["reason"].startswith("ws.eviction"), told)
            await one.runner.tells("shut down")


@once
async def a_runner_that_returns_under_its_key_keeps_its_id_and_its_actors(_):
    async with up() as program, client(program) as one:
        async with raw(7, program.runners, POOL) as first:
            asked = asyncio.create_task(one.ok("kept"))
            life = await first.starts("kept")
            request, _ = await first.serves()
            await first.tunnel(request, "ToServerResponseStart", whole("here"))
            expect((await asked).text == "here")
        await asyncio.sleep(1)
        async with raw(7, program.runners, POOL, key=first.key) as second:
            expect(second.id == first.id)
            await second.runs(life)
            asked = asyncio.create_task(one.ok("kept"))
            request, _ = await second.serves()
            await second.tunnel(request, "ToServerResponseStart", whole("still here"))
            expect((await asked).text == "still here")
            commands = [message for message in second.heard if message["tag"] == "ToClientCommands"]
            expect(not commands, "a repeated start", commands)


@each
async def a_wrong_token_lets_nobody_in(version):
    async with up("--token", "secret") as program, client(program) as one:
        for wrong in ({"token": "wrong"}, {}):
            async with published(version, program.runners, connects=False, **wrong) as runner:
                await asyncio.sleep(3)
                expect(not runner.all("connected") and runner.process.returncode is None, runner.told)
                answer = await one.ask("locked")
                expect((answer.status, answer.code) == (503, "no_runner"), answer)
        async with published(version, program.runners, token="secret"):
            await one.ok("locked")
