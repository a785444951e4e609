"""Stories of the built program, told with curl and with clients of other makes. Run by tests/program/run."""

import asyncio
import re
import signal
import sys
import time

import websockets

import fleet  # noqa: F401: its stories are told as well
import refusals  # noqa: F401
from harness import ASIDE, MIB, STORIES, Tunnel, conclude, expect, once, program, story, tell, up
from target import CHUNK, Target, pattern

# What curl can say.


@story
async def a_get_is_answered(tunnel):
    out = await tunnel.ok("-i", f"{tunnel.url}/gateway/someone/hello?x=1")
    expect(out.endswith(b"\r\n\r\nhello") and b"x-path: /hello?x=1" in out.lower(), out)


@story
async def ten_mebibytes_go_each_way(tunnel):
    body = pattern(10 * MIB + 1)
    for protocol in ("--http1.1", "--http2-prior-knowledge"):
        out = await tunnel.ok(protocol, "--data-binary", "@-", f"{tunnel.url}/echo", data=body)
        expect(out == body, protocol, len(out))


@story
async def head_and_204_carry_no_body(tunnel):
    out = await tunnel.ok("-I", f"{tunnel.url}/download/1000")
    expect(b"200 OK" in out and b"content-length: 1000" in out.lower(), out)
    out = await tunnel.ok("-i", f"{tunnel.url}/nothing")
    expect(out.startswith(b"HTTP/1.1 204") and out.endswith(b"\r\n\r\n"), out)


@story
async def many_header_fields_and_cookies_arrive(tunnel):
    out = (await tunnel.ok("-i", f"{tunnel.url}/headers")).decode()
    cookies = re.findall(r"(?mi)^set-cookie: (.*?)\r$", out)
    expect(cookies == ["a=1; Expires=Wed, 09 Jun 2027 10:18:14 GMT", "b=2, 3", "c=4"], out)
    many = ",".join(re.findall(r"(?mi)^x-many: (.*?)\r$", out)).replace(" ", "")
    expect(many == ",".join(str(number) for number in range(17)), out)


@story
async def the_handler_sees_who_asks(tunnel):
    fields = ("-H", "Connection: x-mine", "-H", "x-mine: 1", "-H", "x-underpass-actor: forged")
    out = (await tunnel.ok(*fields, f"{tunnel.url}/gateway/Somebody/seen")).decode().lower()
    expect('["x-underpass-actor", "somebody"]' in out and "forged" not in out, out)
    expect('["x-forwarded-for", "127.0.0.1"]' in out and '["x-forwarded-proto", "http"]' in out, out)
    expect('"x-forwarded-host"' in out and "x-mine" not in out, out)


@story
async def expect_is_answered_before_the_body_is_sent(tunnel):
    _, err, status = await tunnel.curl(
        "-v", "-o", "/dev/null", "-H", "Expect: 100-continue", "--data-binary", "@-", f"{tunnel.url}/echo", data=pattern(MIB)
    )
    expect(status == 0 and "< HTTP/1.1 100 Continue" in err, err)


@story
async def http_2_is_spoken(tunnel):
    out = await tunnel.ok("-i", "--http2-prior-knowledge", f"{tunnel.url}/hello")
    expect(out.startswith(b"HTTP/2 200") and out.endswith(b"hello"), out)


@story
async def an_answer_that_breaks_off_never_ends_cleanly(tunnel):
    for protocol in ("--http1.1", "--http2-prior-knowledge"):
        out, err, status = await tunnel.curl(protocol, f"{tunnel.url}/breaks")
        expect(out == b"half" and status in (18, 56, 92), protocol, out, err, status)


# What takes a socket of one's own.


@story
async def events_arrive_as_they_are_sent(tunnel):
    reader, writer = await tunnel.raw("GET /events HTTP/1.1\nhost: x\nx-underpass-pool: {pool}\n\n")
    loop = asyncio.get_running_loop()
    late = []
    while len(late) < 20:
        line = await asyncio.wait_for(reader.readline(), 5)
        if line.startswith(b"data: "):
            late.append(loop.time() - float(line[6:]))
    writer.close()
    print(f"    latest event: {max(late) * 1000:.1f} ms", end="")
    expect(max(late) < 0.05, late)


@story
async def an_upload_of_unknown_length_is_seen_before_it_ends(tunnel):
    tunnel.target.note("first bytes").clear()
    head = "POST /watched HTTP/1.1\nhost: x\nx-underpass-pool: {pool}\ntransfer-encoding: chunked\nconnection: close\n\n"
    reader, writer = await tunnel.raw(head)
    writer.write(b"5\r\nfirst\r\n")
    await asyncio.wait_for(tunnel.target.note("first bytes").wait(), 5)
    writer.write(b"4\r\nlast\r\n0\r\n\r\n")
    out = await asyncio.wait_for(reader.read(), 5)
    expect(b"200 OK" in out and b"9" in out.split(b"\r\n\r\n", 1)[1], out)
    writer.close()


@story
async def a_client_that_disconnects_is_noticed_by_the_handler(tunnel):
    ended = tunnel.target.note("forever ended")
    ended.clear()
    reader, writer = await tunnel.raw("GET /forever HTTP/1.1\nhost: x\nx-underpass-pool: {pool}\n\n")
    while b"tick" not in await asyncio.wait_for(reader.readline(), 5):
        pass
    writer.close()
    start = time.monotonic()
    await asyncio.wait_for(ended.wait(), 5)
    print(f"    noticed after {(time.monotonic() - start) * 1000:.0f} ms", end="")


async def quick_ones(tunnel, until):
    """Others go on: how many requests of a mebibyte each they had answered meanwhile, and the slowest."""
    count, slowest = 0, 0
    while not until.is_set():
        start = time.monotonic()
        out = await tunnel.ok(f"{tunnel.url}/download/{MIB}")
        expect(len(out) == MIB)
        count, slowest = count + 1, max(slowest, time.monotonic() - start)
    return count, slowest


STALL = 10  # seconds
GROWTH = 32 * MIB  # what the buffers in the config and the allocator may take


@story
async def a_client_that_stops_reading_stops_its_handler_alone(tunnel):
    length = 200 * MIB
    before = tunnel.memory()
    head = f"GET /download/{length} HTTP/1.1\nhost: x\nx-underpass-pool: {{pool}}\nconnection: close\n\n"
    reader, writer = await tunnel.raw(head)
    while await reader.readline() != b"\r\n":
        pass
    done = asyncio.Event()
    others = asyncio.create_task(quick_ones(tunnel, done))
    await asyncio.sleep(STALL)
    grown = tunnel.memory() - before
    done.set()
    count, slowest = await others
    at, good = 0, True
    while data := await asyncio.wait_for(reader.read(1 << 18), 20):
        start = at % len(CHUNK)
        good = good and (CHUNK * (len(data) // len(CHUNK) + 2))[start : start + len(data)] == data
        at += len(data)
    writer.close()
    print(f"    grew {grown / MIB:.1f} MiB; {count} others, slowest {slowest * 1000:.0f} ms", end="")
    expect(good and at == length, good, at)
    expect(grown < GROWTH and count > STALL and slowest < 2, grown, count, slowest)


@story
async def a_handler_that_stops_reading_stops_its_client_alone(tunnel):
    length = 200 * MIB
    stopped, read_on = tunnel.target.note("stopped reading"), tunnel.target.note("read on")
    stopped.clear()
    read_on.clear()
    before = tunnel.memory()
    head = f"POST /stops HTTP/1.1\nhost: x\nx-underpass-pool: {{pool}}\ncontent-length: {length}\nconnection: close\n\n"
    reader, writer = await tunnel.raw(head)

    async def send():
        for _ in range(length // len(CHUNK)):
            writer.write(CHUNK)
            await writer.drain()

    sending = asyncio.create_task(send())
    await asyncio.wait_for(stopped.wait(), 10)
    done = asyncio.Event()
    others = asyncio.create_task(quick_ones(tunnel, done))
    await asyncio.sleep(STALL)
    expect(not sending.done(), "the client was not stopped")
    grown = tunnel.memory() - before
    done.set()
    count, slowest = await others
    read_on.set()
    await asyncio.wait_for(sending, 60)
    out = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    print(f"    grew {grown / MIB:.1f} MiB; {count} others, slowest {slowest * 1000:.0f} ms", end="")
    expect(out.endswith(f"{length} True".encode()), out[-200:])
    expect(grown < GROWTH and count > STALL and slowest < 2, grown, count, slowest)


# WebSockets, by a client of another make.


@story
async def messages_of_every_kind_come_back(tunnel):
    async with tunnel.socket(subprotocols=["chat", "rivet"]) as socket:
        expect(socket.subprotocol == "rivet", socket.subprotocol)
        for message in ("text ü", b"\x00\xff", "", b"", "x" * MIB, pattern(MIB)):
            await socket.send(message)
            expect(await asyncio.wait_for(socket.recv(), 5) == message, "echo of", message[:20])
        await asyncio.wait_for(await socket.ping(), 5)
    async with tunnel.socket() as socket:
        expect(socket.subprotocol is None, socket.subprotocol)


@story
async def a_thousand_messages_stay_in_order_both_ways(tunnel):
    async with tunnel.socket() as socket:

        async def send():
            for number in range(1000):
                await socket.send(f"{number}")

        sending = asyncio.create_task(send())
        for number in range(1000):
            expect(await asyncio.wait_for(socket.recv(), 5) == f"{number}", number)
        await sending


@story
async def close_codes_go_both_ways(tunnel):
    closed = tunnel.target.note("socket closed")
    closed.clear()
    async with tunnel.socket() as socket:
        await socket.close(4001, "from the client")
    await asyncio.wait_for(closed.wait(), 5)
    expect(tunnel.target.closed == 4001, tunnel.target.closed)
    async with tunnel.socket() as socket:
        await socket.send("close 4002 from the handler")
        await asyncio.wait_for(socket.wait_closed(), 5)
        expect((socket.close_code, socket.close_reason) == (4002, "from the handler"), socket.close_code, socket.close_reason)


@story
async def a_socket_that_is_refused_is_an_http_answer(tunnel):
    try:
        async with tunnel.socket("/hello"):
            raise AssertionError("it was opened")
    except websockets.InvalidStatus as refused:
        headers = refused.response.headers
        expect(refused.response.status_code == 502 and headers["x-underpass-error"] == "runner_failed", headers)


# Processes that come and go.


@once
async def a_runner_that_is_killed_and_started_again_serves_again():
    async with Target().serving() as target, up() as one:
        to = f"http://127.0.0.1:{target.port}"
        arguments = ("runner", "--relay", one.runners, "--name", "away", "--to", to)
        tunnel = Tunnel(one, "away", target, [one])
        for _ in range(3):
            async with program(*arguments) as runner:
                out = await tunnel.ok("-w", " %{http_code}", f"{one.gateway}/hello")
                expect(out.endswith(b" 200"), out)
                runner.process.send_signal(signal.SIGKILL)
                await runner.process.wait()
            while True:
                out = await tunnel.ok("-w", " %{http_code}", f"{one.gateway}/hello")
                if out.endswith(b" 503") and b"no_runner" in out:
                    break
        expect(await tunnel.ok("-H", "x-underpass-pool: default", f"{one.gateway}/hello") is not None)


@once
async def runners_of_one_pool_share_its_requests():
    async with Target().serving() as first, Target().serving() as second, up() as one:
        runner = ("runner", "--relay", one.runners, "--name", "shared", "--to")
        async with program(*runner, f"http://127.0.0.1:{first.port}"), program(*runner, f"http://127.0.0.1:{second.port}"):
            tunnel = Tunnel(one, "shared", first, [one])
            asked = [0, 0]
            for _ in range(50):
                await tunnel.ok("--data-binary", "x", f"{one.gateway}/stops")
                for place, target in enumerate((first, second)):
                    asked[place] += target.read
                    target.read = 0
            expect(min(asked) > 10, asked)


@once
async def the_demo_answers():
    async with up() as one:
        tunnel = Tunnel(one, "default", None, [one])
        page = await tunnel.ok(f"{one.gateway}/")
        expect(b"<html" in page.lower(), page[:200])
        expect(await tunnel.ok(f"{one.gateway}/hello") == b"hello")
        async with tunnel.socket() as socket:
            await socket.send("hi")
            expect(await asyncio.wait_for(socket.recv(), 5) == "hi")


@once
async def ctrl_c_lets_open_requests_finish():
    async with Target().serving() as target, up("--to", f"http://127.0.0.1:{target.port}") as one:
        tunnel = Tunnel(one, "default", target, [one])
        events = asyncio.create_task(tunnel.ok(f"{one.gateway}/events"))
        await asyncio.sleep(0.5)
        one.process.send_signal(signal.SIGINT)
        expect((await events).count(b"data: ") == 20)
        expect(await asyncio.wait_for(one.process.wait(), 5) == 0)


async def main():
    wanted = sys.argv[1:]

    def is_wanted(function):
        return not wanted or any(word in function.__name__ for word in wanted)

    chosen = [(function, shared) for function, shared in STORIES if is_wanted(function)]
    outcomes = []
    async with Target().serving() as target:
        to = f"http://127.0.0.1:{target.port}"
        async with up("--to", to) as one, program("runner", "--relay", one.runners, "--name", "away", "--to", to) as away:
            ways = {
                "runner inside": Tunnel(one, "default", target, [one]),
                "runner outside": Tunnel(one, "away", target, [one, away]),
            }
            for way, tunnel in ways.items():
                for function, shared in chosen:
                    if shared:
                        name = function.__name__.replace("_", " ")
                        outcomes.append(await tell(f"{way}: {name}", function(tunnel)))
    for function, shared in chosen:
        if not shared:
            outcomes.append(await tell(function.__name__.replace("_", " "), function()))
    places = asyncio.Semaphore(4)

    async def tell_aside(function):
        async with places:
            return await tell(function.__name__.replace("_", " "), function(), together=True)

    outcomes += await asyncio.gather(*(tell_aside(function) for function in ASIDE if is_wanted(function)))
    conclude(outcomes)


asyncio.run(main())
