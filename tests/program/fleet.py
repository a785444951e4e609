"""Stories of gateways, relays and runners that are processes of their own, on a real nats-server."""

import asyncio
import contextlib
import json
import re
import signal
import tempfile
from pathlib import Path

import websockets

from certificates import Authority
from harness import LOG, MIB, ROOT, Tunnel, aside, expect, fails, program, up
from nats import nats_server
from nkeys import nkey
from target import Target, pattern

GATEWAY = ("gateway", "--listen", "127.0.0.1:0", "--bus")
RELAY = ("relay", "--listen", "127.0.0.1:0", "--bus")
PAGE = (ROOT / "cli/docs/fleet.md").read_text()
SECRETS = {"change me": "one one", "change me, too": "two"}


async def ask(url, *arguments):
    """The status and the body."""
    curl = ("curl", "-sS", "--max-time", "20", "-w", "\n%{http_code}", *arguments, url)
    process = await asyncio.create_subprocess_exec(*curl, stdout=asyncio.subprocess.PIPE, stderr=LOG)
    out, _ = await process.communicate()
    body, _, status = out.decode().rpartition("\n")
    return int(status), body


async def until(what, wanted, within=20):
    """Asks until the answer is the one that is wanted."""
    deadline = asyncio.get_running_loop().time() + within
    while True:
        answer = await what()
        if answer == wanted:
            return
        expect(asyncio.get_running_loop().time() < deadline, "it stayed", answer, "and never was", wanted)
        await asyncio.sleep(0.1)


async def readiness(one):
    """Nothing if it is ready, or the reasons why it is not."""
    status, body = await ask(f"{one.admin}/readyz")
    told = json.loads(body)
    expect(told["ready"] == (status == 200), status, body)
    return told.get("because", [])


def hello(gateway, *arguments):
    return lambda: ask(f"{gateway}/hello", *arguments)


@contextlib.asynccontextmanager
async def counters(*relays):
    """The example whose actors count the messages of WebSockets that hibernate, and keep that."""
    process = await asyncio.create_subprocess_exec(
        ROOT / "target/release/examples/counters", *relays, stdout=asyncio.subprocess.DEVNULL, stderr=LOG
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def counted(socket, number):
    await socket.send("one more")
    told = await asyncio.wait_for(socket.recv(), 40)
    expect(str(number) in re.findall(r"\d+", str(told)), told, number)


async def open_counter(gateway):
    """A WebSocket to an actor, when somebody has it."""
    url = gateway.replace("http", "ws") + "/gateway/anyone/"
    for _ in range(100):
        with contextlib.suppress(websockets.InvalidStatus):
            return await websockets.connect(url, additional_headers={"x-underpass-pool": "counters"})
        await asyncio.sleep(0.2)
    raise AssertionError("no actor takes a WebSocket")


@aside
async def gateways_a_relay_and_a_runner_meet_over_nats():
    async with Target().serving() as target, nats_server() as nats:
        to = f"http://127.0.0.1:{target.port}"
        async with program(*GATEWAY, nats.url) as one, program(*GATEWAY, nats.url) as other:
            async with (
                program(*RELAY, nats.url) as relay,
                program("runner", "--relay", relay.runners, "--to", to) as runner,
            ):
                for gateway in (one, other):
                    await until(hello(gateway.gateway), (200, "hello"))
                    tunnel = Tunnel(gateway, "default", target, [gateway])
                    body = pattern(5 * MIB + 1)
                    out = await tunnel.ok("--data-binary", "@-", f"{gateway.gateway}/echo", data=body)
                    expect(out == body, len(out))
                    async with tunnel.socket() as socket:
                        for message in ("text ü", b"\x00\xff", pattern(3 * MIB)):
                            await socket.send(message)
                            expect(await asyncio.wait_for(socket.recv(), 10) == message, message[:20])
                # What is open is finished, whoever is asked to end.
                events = [asyncio.create_task(ask(f"{gateway.gateway}/events")) for gateway in (one, other)]
                await asyncio.sleep(0.5)
                for process in (one, runner, relay):
                    process.process.send_signal(signal.SIGTERM)
                for event in events:
                    expect((await event)[1].count("data: ") == 20)
                for process in (one, runner, relay):
                    expect(await process.ends(10) == 0, process.ready)
                await until(hello(other.gateway, "-o", "/dev/null"), (503, ""))


@aside
async def whoever_asks_a_gateway_or_a_relay_is_told_the_counters():
    async with nats_server() as nats:
        for command, machine in ((GATEWAY, "gateway"), (RELAY, "relay")):
            with tempfile.TemporaryFile("w+") as log:
                async with program(*command, nats.url, log=log) as one:
                    one.process.send_signal(signal.SIGUSR1)
                    await asyncio.sleep(0.5)
                    log.seek(0)
                    told = [json.loads(line) for line in log]
                    expect([list(line) for line in told] == [[machine], ["bus"]], told)


@aside
async def a_request_is_followed_by_its_name_through_the_logs_of_three_processes():
    trace = "0af7651916cd43dd8448eb211c80319c"
    parent = f"00-{trace}-b7ad6b7169203331-01"
    secret = "sesame"
    told = ("--log", "trace", "--log-format", "json")
    fields = [f"authorization: Bearer {secret}", f"cookie: session={secret}", f"x-token: {secret}", "tracestate: a=b"]
    arguments = [word for field in (f"traceparent: {parent}", *fields) for word in ("-H", field)]
    async with contextlib.AsyncExitStack() as stack:
        target = await stack.enter_async_context(Target().serving())
        nats = await stack.enter_async_context(nats_server())
        logs = {hop: stack.enter_context(tempfile.TemporaryFile("w+")) for hop in ("gateway", "relay", "runner")}
        start = lambda hop, *words: stack.enter_async_context(program(*words, *told, log=logs[hop]))
        gateway = await start("gateway", *GATEWAY, nats.url)
        relay = await start("relay", *RELAY, nats.url)
        await start("runner", "runner", "--relay", relay.runners, "--to", f"http://127.0.0.1:{target.port}")
        await until(hello(gateway.gateway), (200, "hello"))

        status, seen = await ask(f"{gateway.gateway}/seen?token={secret}", *arguments)
        expect(status == 200 and ["traceparent", parent] in json.loads(seen), seen)
        body = ("--data-binary", f"a body with a {secret}")
        expect(await ask(f"{gateway.gateway}/echo", *arguments, *body) == (200, f"a body with a {secret}"))

        names = {}
        for hop, log in logs.items():
            for _ in range(100):
                log.seek(0)
                lines = [json.loads(line) for line in log]
                mine = [line for line in lines if line.get("span", {}).get("trace_id") == trace]
                ends = [line for line in mine if line["message"] == "ended"]
                if len(ends) == 2:
                    break
                await asyncio.sleep(0.1)
            expect(len(ends) == 2, hop, lines)
            for line, method in zip(ends, ("GET", "POST")):
                span = line["span"]
                of = [span[name] for name in ("hop", "kind", "method", "status", "end")]
                expect(of == [hop, "http", method, 200, "done"], line)
                expect(line["target"] == "underpass::requests" and line["ms"] > 0 and line["to_runner"] > 0, line)
            names[hop] = [line["span"]["request"] for line in ends]
            kinds = [line["kind"] for line in mine if line["message"] == "frame"]
            expect("ToClientRequestStart" in kinds and "ToServerResponseStart" in kinds, kinds)
            log.seek(0)
            expect(secret not in log.read(), hop)
        expect(names["gateway"] == names["relay"] == names["runner"] and len(set(names["gateway"])) == 2, names)


@aside
async def whether_a_process_is_ready_can_be_asked():
    async with Target().serving() as target, nats_server() as nats:
        to = ("--to", f"http://127.0.0.1:{target.port}")
        admin = ("--admin", "127.0.0.1:0")
        async with program(*GATEWAY, nats.url, *admin) as gateway, program(*RELAY, nats.url, *admin) as relay:
            async with program("runner", "--relay", relay.runners, *to, *admin) as runner, up(*to, *admin) as alone:
                for one in (gateway, relay, runner, alone):
                    expect(await readiness(one) == [], one.ready)
                    expect(await ask(f"{one.admin}/healthz") == (200, '{"alive":true}\n'))
                    expect((await ask(f"{one.admin}/"))[0] == 200 and (await ask(f"{one.admin}/readyz", "-XPOST"))[0] == 405)
                await until(hello(gateway.gateway), (200, "hello"))
                await nats.kill()
                for one in (gateway, relay):
                    await until(lambda: readiness(one), ["bus_away", "store_away"])
                    expect((await ask(f"{one.admin}/healthz"))[0] == 200)
                await nats.start()
                for one in (gateway, relay):
                    await until(lambda: readiness(one), [], 5)
                await until(hello(gateway.gateway), (200, "hello"), 5)
                # Of the relay there is no more than what is open.
                events = asyncio.create_task(ask(f"{gateway.gateway}/events"))
                await asyncio.sleep(0.5)
                for one in (gateway, relay):
                    one.process.send_signal(signal.SIGTERM)
                await until(lambda: readiness(gateway), ["draining"])
                expect((await events)[1].count("data: ") == 20)
                expect(await gateway.ends(10) == 0 and await relay.ends(10) == 0)
                await until(lambda: readiness(runner), ["relay_away"])


@aside
async def a_limit_cuts_a_drain_short():
    limit = ("--drain-limit", "1")
    async with Target().serving() as target, nats_server() as nats:
        to = ("--to", f"http://127.0.0.1:{target.port}")

        async def is_cut(ends, gateway):
            await until(hello(gateway.gateway), (200, "hello"))
            forever = asyncio.create_task(ask(f"{gateway.gateway}/forever"))
            await asyncio.sleep(0.5)
            expect(not forever.done())
            ends.process.send_signal(signal.SIGTERM)
            expect(await ends.ends(10) == 0, ends.ready)
            await forever

        async with program(*GATEWAY, nats.url) as patient, program(*RELAY, nats.url, *limit) as relay:
            async with program("runner", "--relay", relay.runners, *to, *limit) as runner:
                async with program(*GATEWAY, nats.url, *limit) as gateway, up(*to, *limit) as alone:
                    await is_cut(gateway, gateway)
                    await is_cut(alone, alone)
                await is_cut(runner, patient)
            async with program("runner", "--relay", relay.runners, *to):
                await is_cut(relay, patient)


@aside
async def a_drain_without_nats_comes_to_an_end():
    async with Target().serving() as target, nats_server() as nats:
        to = ("--to", f"http://127.0.0.1:{target.port}")
        async with program(*GATEWAY, nats.url) as gateway, program(*RELAY, nats.url) as relay:
            async with program("runner", "--relay", relay.runners, *to):
                await until(hello(gateway.gateway), (200, "hello"))
                await nats.kill()
                await asyncio.sleep(1)
                for one in (gateway, relay):
                    one.process.send_signal(signal.SIGTERM)
                expect(await gateway.ends(10) == 0)
                # It has to say that its runner goes, and cannot.
                expect(await relay.ends(45) == 1)


def users():
    """The users that the page of the docs recommends, with passwords of a story."""
    block = next(block for block in re.findall(r"```text\n(.*?)```", PAGE, re.S) if "authorization" in block)
    configuration = re.sub(r"^jetstream .*\n", "", block, flags=re.M)
    for old, new in SECRETS.items():
        configuration = configuration.replace(f'"{old}"', f'"{new}"')
    return configuration


@aside
async def users_who_may_no_more_than_the_docs_say_get_along():
    async with Target().serving() as target, nats_server(users()) as nats:
        gateway_url, relay_url = nats.url_of("gateway:one%20one"), nats.url_of("relay:two")
        async with program(*GATEWAY, gateway_url) as gateway, program(*RELAY, relay_url) as first:
            async with program("runner", "--relay", first.runners, "--to", f"http://127.0.0.1:{target.port}"):
                await until(hello(gateway.gateway), (200, "hello"))
                tunnel = Tunnel(gateway, "default", target, [gateway])
                out = await tunnel.ok("--data-binary", "@-", f"{gateway.gateway}/echo", data=pattern(5 * MIB))
                expect(out == pattern(5 * MIB))
            async with counters(first.runners) as counting:
                socket = await open_counter(gateway.gateway)
                for number in range(1, 4):
                    await counted(socket, number)
                sleep = f"{gateway.gateway}/gateway/anyone/sleep"
                status, told = await ask(sleep, "-XPOST", "-H", "x-underpass-pool: counters")
                expect(status < 300, status, told)
                await asyncio.sleep(1)
                await counted(socket, 4)
                # The next message waits until the actor lives elsewhere.
                counting.terminate()
                await counting.wait()
            async with program(*RELAY, relay_url) as second, counters(second.runners):
                first.process.send_signal(signal.SIGTERM)
                expect(await first.ends(10) == 0)
                await counted(socket, 5)
                await socket.close()
                gateway.process.send_signal(signal.SIGTERM)
                expect(await gateway.ends(10) == 0)
        refused = [line for line in nats.log if "Violation" in line or "violation" in line]
        expect(not refused, refused)


@aside
async def an_nkey_opens_the_bus():
    with tempfile.TemporaryDirectory() as path:
        (public, seed), (_, strange) = nkey(), nkey()
        mine, strangers = Path(path) / "mine", Path(path) / "strangers"
        mine.write_text(f"{seed}\n")
        strangers.write_text(strange)
        async with nats_server(f"authorization {{ users: [{{ nkey: {public} }}] }}") as nats:
            async with program(*GATEWAY, nats.url, "--bus-nkey", mine), program(*RELAY, nats.url, "--bus-nkey", mine):
                pass
            line = await fails(*GATEWAY, nats.url, "--bus-nkey", strangers)
            expect("authorization violation" in line, line)


@aside
async def what_an_actor_keeps_outlives_all_that_is_behind_its_gateway():
    async with nats_server() as nats, program(*GATEWAY, nats.url) as gateway:
        async with program(*RELAY, nats.url) as relay:
            async with counters(relay.runners):
                socket = await open_counter(gateway.gateway)
                for number in (1, 2):
                    await counted(socket, number)
            await asyncio.sleep(0.5)
        await nats.kill()
        await nats.start()
        async with program(*RELAY, nats.url) as relay, counters(relay.runners):
            await counted(socket, 3)
            await socket.close()
            # Its actor hears of that.
            await asyncio.sleep(0.5)


@aside
async def nothing_goes_in_clear_if_it_must_not():
    with tempfile.TemporaryDirectory() as path:
        files = Path(path)
        authority, strangers = Authority(files, "authority"), Authority(files, "strangers")
        (server, server_key), (client, client_key) = authority.sign("server"), authority.sign("client", "client")
        bus_tls = f'cert_file: "{server}", key_file: "{server_key}", ca_file: "{authority.certificate}", verify: true'
        tls = ("--tls-cert", server, "--tls-key", server_key)
        mine = ("--tls-cert", client, "--tls-key", client_key)
        shown_to_bus = ("--bus-cert", client, "--bus-key", client_key)
        bus = ("--bus-ca", authority.certificate, *shown_to_bus)
        async with Target().serving() as target, nats_server(f"tls {{ {bus_tls} }}") as nats:
            url = f"tls://{nats.address}"
            await fails(*GATEWAY, url, "--bus-ca", strangers.certificate, *shown_to_bus, within=13)
            async with (
                program(*GATEWAY, url, *bus, *tls) as gateway,
                program(*RELAY, url, *bus, *tls, "--client-ca", authority.certificate) as relay,
            ):
                expect(gateway.gateway.startswith("https://") and relay.runners.startswith("wss://"), relay.ready)
                to = ("--to", f"http://127.0.0.1:{target.port}")
                dial = ("runner", "--relay", relay.runners, "--ca", authority.certificate, *to)
                async with program(*dial, *mine):
                    trusting = ("--cacert", authority.certificate)
                    await until(hello(gateway.gateway, *trusting), (200, "hello"))
                    expect(await ask(f"{gateway.gateway}/hello", *trusting, "--http1.1") == (200, "hello"))
                    status, _ = await ask(f"{gateway.gateway}/hello", "--cacert", strangers.certificate)
                    expect(status == 0, "a certificate of strangers was believed")
                    # Another certificate counts from when it is there and the process is told.
                    before = await shown(gateway)
                    authority.sign("server")
                    gateway.process.send_signal(signal.SIGHUP)

                    async def is_new():
                        return await shown(gateway) != before

                    await until(is_new, True, 4)
                    expect(await ask(f"{gateway.gateway}/hello", *trusting) == (200, "hello"))
                    # Whoever shows nothing, or what strangers have signed, is not let in.
                    other, other_key = strangers.sign("other", "client")
                    for shows in ((), ("--tls-cert", other, "--tls-key", other_key)):
                        await is_not_let_in(*dial, *shows)


async def shown(gateway):
    """The certificate that a gateway shows."""
    asking = ("openssl", "s_client", "-connect", gateway.gateway.removeprefix("https://"))
    pipes = {"stdin": asyncio.subprocess.DEVNULL, "stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.DEVNULL}
    process = await asyncio.create_subprocess_exec(*asking, **pipes)
    out, _ = await process.communicate()
    return re.search(rb"-----BEGIN CERTIFICATE-----.*?-----END", out, re.S)[0]


async def is_not_let_in(*arguments):
    try:
        async with asyncio.timeout(2):
            async with program(*arguments):
                pass
    except TimeoutError:
        return
    raise AssertionError("it was let in", arguments)


@aside
async def tokens_rotate_and_nobody_notices():
    with tempfile.TemporaryDirectory() as path:
        tokens = Path(path) / "tokens"
        tokens.write_text("old\n")
        async with Target().serving() as target, nats_server() as nats:
            to = ("--to", f"http://127.0.0.1:{target.port}")
            async with program(*GATEWAY, nats.url) as gateway, program(*RELAY, nats.url, "--token-file", tokens) as relay:
                dial = ("runner", "--relay", relay.runners, *to, "--token")
                async with program(*dial, "old") as old:
                    await fails(*dial, "new")
                    tokens.write_text("old\nnew\n")
                    relay.process.send_signal(signal.SIGHUP)
                    await asyncio.sleep(0.5)
                    async with program(*dial, "new"):
                        # Without being told, it looks every five seconds. What says nothing changes nothing.
                        tokens.write_text("new\n")
                        await asyncio.sleep(6)
                        line = await fails(*dial, "old")
                        expect("it wants another token (401)" in line, line)
                        tokens.write_text("")
                        relay.process.send_signal(signal.SIGHUP)
                        await asyncio.sleep(0.5)
                        await fails("runner", "--relay", relay.runners, *to)
                        expect(old.process.returncode is None, "who is connected stays")
                        await until(hello(gateway.gateway), (200, "hello"))


@aside
async def up_speaks_tls_and_keeps_its_own_runner():
    with tempfile.TemporaryDirectory() as path:
        files = Path(path)
        authority = Authority(files, "authority")
        server, key = authority.sign("server")
        (files / "tokens").write_text("old\n")
        guard = ("--tls-cert", server, "--tls-key", key, "--token-file", files / "tokens")
        trusting = ("--cacert", authority.certificate)
        async with up(*guard) as one:
            expect(one.gateway.startswith("https://") and one.runners.startswith("wss://"), one.ready)
            expect(await ask(f"{one.gateway}/hello", *trusting) == (200, "hello"))
            dial = ("runner", "--relay", one.runners, "--ca", authority.certificate)
            async with program(*dial, "--token", "old"):
                (files / "tokens").write_text("new\n")
                one.process.send_signal(signal.SIGHUP)
                await asyncio.sleep(0.5)
            await fails(*dial, "--token", "old")
            async with program(*dial, "--token-file", files / "tokens"):
                pass
            expect(await ask(f"{one.gateway}/hello", *trusting) == (200, "hello"))
