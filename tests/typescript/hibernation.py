"""WebSockets that stay open while their actor sleeps."""

import asyncio
import contextlib

from connections import cabled
from harness import expect
from house import each, house, once
from published import published

AWAKE = "awake"  # what an actor says on each socket that it finds again


@contextlib.asynccontextmanager
async def remembering(version, **settings):
    async with house(version, remembers=1, **settings) as one:
        yield one


async def counts(socket, message, count, within=15):
    """The actor answers with how many messages of this socket it has seen, if that is right."""
    await socket.send(message)
    expect(await heard(socket, within) == f"{count} {message}", message, count)


async def heard(socket, within=15):
    """What comes next but for the word of an actor that woke."""
    while (got := await asyncio.wait_for(socket.recv(), within)) == AWAKE:
        pass
    return got


async def sleeps(house, actor, runner=None):
    """The actor sleeps, for the first time."""
    await house.client.ok(actor, "/sleep", "POST")
    await (runner or house.runner).tells("stopped", actor=actor)


@each
async def a_socket_goes_on_where_it_was_when_its_client_wakes_the_actor(version):
    async with remembering(version) as house, house.client.socket("napper", "/remembered") as socket:
        await counts(socket, "one", 1)
        await counts(socket, "two", 2)
        await sleeps(house, "napper")
        await asyncio.sleep(0.5)
        expect(len(house.runner.all("started")) == 1, "it sleeps")
        await (await socket.ping())
        await counts(socket, "three", 3)
        expect(len(house.runner.all("started")) == 2 and len(house.runner.all("socket restored")) == 1)
        expect(not house.runner.all("socket closed"), house.runner.told)


@each
async def many_messages_to_a_sleeper_arrive_once_in_their_order(version):
    async with remembering(version) as house, house.client.socket("busy", "/remembered") as socket:
        await counts(socket, "first", 1)
        await sleeps(house, "busy")
        for number in range(2, 302):
            await socket.send(f"{number}")
        for number in range(2, 302):
            expect(await heard(socket) == f"{number} {number}", number)


@once
async def an_actor_that_wakes_by_itself_speaks_first(version):
    async with remembering(version) as house, house.client.socket("early", "/remembered") as socket:
        await counts(socket, "one", 1)
        await house.client.ok("early", "/alarm/1500", "POST")
        await house.runner.tells("stopped", actor="early")
        expect(await asyncio.wait_for(socket.recv(), 10) == AWAKE)
        await counts(socket, "two", 2)


@each
async def a_client_that_goes_wakes_its_actor_to_hear_so(version):
    async with remembering(version) as house:
        async with house.client.socket("left", "/remembered") as socket:
            await counts(socket, "one", 1)
            await sleeps(house, "left")
            await socket.close(4001, "enough")
        told = await house.runner.tells("socket closed", actor="left")
        expect((told["code"], told["reason"]) == (4001, "enough"), told)
        await house.runner.tells("socket restored", actor="left")


@once
async def a_socket_that_was_not_saved_is_closed(version):
    async with house(version) as one, one.client.socket("forgetful", "/remembered") as socket:
        # Without REMEMBERS it tells the runner of no socket at its start.
        await counts(socket, "one", 1)
        await sleeps(one, "forgetful")
        await socket.send("two")
        await asyncio.wait_for(socket.wait_closed(), 60)


@each
async def a_cut_connection_costs_no_message(version):
    async with cabled(version, remembers=1) as (house, cable), house.client.socket("cut", "/remembered") as socket:
        await counts(socket, "one", 1)
        for number in range(2, 52):
            await socket.send(f"{number}")
            if number == 25:
                cable.cut()
        # What the actor answered while the connection broke may be lost; what it was told is not.
        await house.runner.tells("connected", 2)
        last = 0
        while last < 51:
            count, number = map(int, (await heard(socket)).split())
            expect(count == number > last, count, number, last)
            last = count
        await counts(socket, "again", 52)
        expect(len(house.runner.all("started")) == 1, house.runner.told)


@once
async def twenty_sockets_go_on_at_another_process(version):
    async with remembering(version) as house, contextlib.AsyncExitStack() as stack:
        actors = [f"moving-{number % 5}" for number in range(20)]
        connect = house.client.socket
        sockets = [await stack.enter_async_context(connect(actor, "/remembered")) for actor in actors]
        await asyncio.gather(*(counts(socket, "before", 1) for socket in sockets))
        await asyncio.gather(*(sleeps(house, actor) for actor in set(actors)))
        await house.runner.end()
        async with published(version, house.program.runners, remembers=1) as other:
            for count in (2, 3, 4):
                await asyncio.gather(*(counts(socket, f"after {count}", count, 30) for socket in sockets))
            expect(len(other.all("socket restored")) == 20, len(other.all("socket restored")))
