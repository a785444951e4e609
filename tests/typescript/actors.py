"""Requests, WebSockets, the key-value store, and what becomes of an actor."""

import asyncio
import re
import time

from harness import MIB, ROOT, expect, up
from house import answers, client, closed, each, house, once, story
from published import published
from target import pattern

# Requests.


@story
async def a_request_starts_its_actor_and_later_ones_find_it(house):
    for _ in range(3):
        expect((await house.client.ok("first")).text == "hello from first")
    await house.runner.tells("started", actor="first")
    expect(len(house.runner.all("started", actor="first")) == 1)


@story
async def a_body_of_a_mebibyte_goes_each_way(house):
    body = pattern(MIB + 1)
    expect((await house.client.ok("bodies", "/echo", "POST", data=body)).body == body)


@story
async def a_body_of_unknown_length_reaches_the_runner_whole(house):
    async def pieces():
        for number in range(20):
            yield pattern(64 * 1024)
            await asyncio.sleep(0.01)

    answer = await house.client.ok("bodies", "/echo", "POST", data=pieces())
    expect(answer.body == pattern(64 * 1024) * 20, len(answer.body))


@story
async def a_body_that_is_too_large_for_a_whole_one_is_refused(house):
    answer = await house.client.ask("bodies", "/echo", "POST", data=pattern(21 * MIB))
    expect((answer.status, answer.code) == (413, "body_too_large"), answer)
    body = pattern(19 * MIB)
    expect((await house.client.ok("bodies", "/echo", "POST", data=body)).body == body)


@story
async def handlers_say_404_and_fail_with_500(house):
    expect((await house.client.ask("wrong", "/nowhere")).status == 404)
    expect((await house.client.ask("wrong", "/throws")).status == 500)
    expect((await house.client.ok("wrong")).text == "hello from wrong")


@story
async def head_has_no_body(house):
    answer = await house.client.ok("head", "/hello", "HEAD")
    expect(answer.body == b"", answer)


@story
async def two_hundred_requests_at_once_are_all_answered(house):
    asked = [house.client.ok(f"many-{number % 20}", "/slow/200", "POST", data=b"x") for number in range(200)]
    start = time.monotonic()
    await asyncio.gather(*asked)
    seconds = time.monotonic() - start
    expect(seconds < 5, seconds)
    for number in range(20):
        await house.runner.tells("started", actor=f"many-{number}")
        expect(len(house.runner.all("started", actor=f"many-{number}")) == 1)


# WebSockets.


@story
async def messages_of_every_kind_come_back(house):
    async with house.client.socket("echo") as socket:
        for message in ("text ü", b"\x00\xff", "", "x" * MIB, pattern(MIB)):
            await answers(socket, message)


@story
async def a_thousand_messages_stay_in_order(house):
    async with house.client.socket("order") as socket:

        async def send():
            for number in range(1000):
                await socket.send(f"{number}")

        sending = asyncio.create_task(send())
        for number in range(1000):
            expect(await asyncio.wait_for(socket.recv(), 5) == f"{number}", number)
        await sending


@story
async def close_codes_go_both_ways(house):
    async with house.client.socket("closing") as socket:
        await answers(socket, "open")
        await socket.close(4001, "from the client")
    told = await house.runner.tells("socket closed", actor="closing")
    expect((told["code"], told["reason"]) == (4001, "from the client"), told)
    async with house.client.socket("closing") as socket:
        await socket.send("close 4002 from the actor")
        expect(await closed(socket) == (4002, "from the actor"), socket.close_code, socket.close_reason)


# The key-value store.


@story
async def the_store_does_all_that_the_runner_asks(house):
    kv = house.client.kv
    entries = [[name, f"{name}!"] for name in ("a", "b", "b1", "b2", "c")]
    names = lambda found: [key for key, _ in found]
    expect(await kv("keys", "kvPut", entries) is None)
    expect(await kv("keys", "kvGet", ["c", "none", "a"]) == ["c!", None, "a!"])
    expect(await kv("keys", "kvListAll") == entries)
    expect(names(await kv("keys", "kvListAll", {"reverse": True, "limit": 2})) == ["c", "b2"])
    expect(names(await kv("keys", "kvListRange", "b", "c")) == ["b", "b1", "b2", "c"])
    expect(names(await kv("keys", "kvListRange", "b", "c", True)) == ["b", "b1", "b2"])
    expect(names(await kv("keys", "kvListPrefix", "b", {"limit": 2})) == ["b", "b1"])
    expect(await kv("others", "kvListAll") == [])
    expect(await kv("keys", "kvDelete", ["a", "none"]) is None)
    expect(names(await kv("keys", "kvListAll")) == ["b", "b1", "b2", "c"])
    if house.version == "2.2.1":
        expect(await kv("keys", "kvDeleteRange", "b1", "c") is None)
        expect(names(await kv("keys", "kvListAll")) == ["b", "c"])
    expect(await kv("keys", "kvDrop") is None)
    expect(await kv("keys", "kvListAll") == [])


@story
async def the_store_says_which_limit_was_passed(house):
    kv = house.client.kv
    for call, limit in (
        (("kvPut", [["k" * 2048, "v"]]), None),
        (("kvPut", [["k" * 2049, "v"]]), "key"),
        (("kvPut", [["k", "v" * (128 * 1024)]]), None),
        (("kvPut", [["k", "v" * (128 * 1024 + 1)]]), "value"),
        (("kvGet", [f"{number}" for number in range(128)]), None),
        (("kvGet", [f"{number}" for number in range(129)]), "keys"),
    ):
        said = await kv("limits", *call)
        expect(limit in said if limit else not isinstance(said, str), call[0], limit, said)
    await kv("limits", "kvDrop")


# What becomes of an actor.


@story
async def an_actor_sleeps_and_the_next_request_wakes_it(house):
    await house.client.kv("sleeper", "kvPut", [["dream", "of sheep"]])
    first = await house.client.who("sleeper")
    await house.client.ok("sleeper", "/sleep", "POST")
    await house.runner.tells("stopped", actor="sleeper")
    await asyncio.sleep(0.5)
    expect(len(house.runner.all("started", actor="sleeper")) == 1)
    second = await house.client.who("sleeper")
    expect(second["generation"] > first["generation"], first, second)
    expect(await house.client.kv("sleeper", "kvGet", ["dream"]) == ["of sheep"])


@story
async def a_request_that_is_open_ends_before_its_actor_sleeps(house):
    slow = asyncio.create_task(house.client.ok("tired", "/slow/1500", "POST"))
    await house.runner.tells("request", actor="tired", name="slow")
    await house.client.ok("tired", "/sleep", "POST")
    await asyncio.sleep(0.3)
    # It asks while the actor is about to stop, so it waits until the actor is back.
    second = await house.client.who("tired")
    expect((await slow).text == "slow")
    # What it tells may come later than its answers.
    await house.runner.tells("started", 2, actor="tired")
    started = house.runner.all("started", actor="tired")
    expect(len(house.runner.all("stopped", actor="tired")) == 1, house.runner.told[-9:])
    expect([told["generation"] for told in started][1:] == [second["generation"]], started, second)


@story
async def a_socket_is_closed_when_its_actor_sleeps(house):
    async with house.client.socket("napping") as socket:
        await answers(socket, "open")
        await house.client.ok("napping", "/sleep", "POST")
        code, reason = await closed(socket)
        expect(code in (1001, 1011, 1012, 1013), code, reason)
    await house.runner.tells("stopped", actor="napping")


@story
async def an_alarm_wakes_an_actor_at_its_time(house):
    start = time.monotonic()
    await house.client.ok("early", "/alarm/2500", "POST")
    await house.runner.tells("stopped", actor="early")
    started = await house.runner.tells("started", 2, actor="early")
    expect(2.3 < started["at"] - start < 4.5, started["at"] - start)


@story
async def an_actor_that_stops_itself_starts_anew_when_asked(house):
    await house.client.ok("done", "/stop", "POST")
    await house.runner.tells("stopped", actor="done")
    answer = await house.client.ok("done")
    expect(answer.seconds < 0.9, "a stop that was commanded is no crash", answer)


@story
async def a_crashed_actor_comes_back_after_a_while(house):
    first = await house.client.who("fragile")
    await house.client.ok("fragile", "/crash", "POST")
    stopped = await house.runner.tells("stopped", actor="fragile")
    await asyncio.sleep(0.1)  # until the relay knows, too
    second = await house.client.who("fragile")
    started = await house.runner.tells("started", 2, actor="fragile")
    expect(second["generation"] > first["generation"], first, second)
    waited = started["at"] - stopped["at"]
    # Before 2.2 a runner says of each stop that it went well.
    expect(0.8 < waited < 3 if house.version == "2.2.1" else waited < 0.8, waited)


@once
async def a_full_runner_takes_no_more_actors(version):
    async with house(version, slots=1) as one, published(version, one.program.runners, slots=1) as other:
        first, second = await one.client.who("one"), await one.client.who("two")
        expect({first["process"], second["process"]} == {one.runner.process.pid, other.process.pid}, first, second)
        third = asyncio.create_task(one.client.ask("three"))
        await asyncio.sleep(1)
        expect(not third.done(), "a third actor has no room")
        await one.client.ok("one", "/sleep", "POST")
        expect((await third).status == 200)


# What the README says.


@each
async def the_program_of_the_readme_counts(version):
    """It is the very one."""
    readme, program = (ROOT / "README.md").read_text(), (ROOT / "tests/typescript/app.mjs").read_text()
    expect(program in re.findall(r"```js\n(.*?)```", readme, re.DOTALL), "the README shows another app.mjs")
    async with up() as program, published(version, program.runners, program="app.mjs"):
        async with client(program, "counters") as one:
            for times in (1, 2, 3):
                said = (await one.ok("hits", "/here")).text
                expect(said == f"hits was asked {times} times, now for /here\n", said)
            async with one.socket("hits") as socket:
                await answers(socket, "hello")
