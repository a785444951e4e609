"""Stories of wrong use: each is one clear line, and an exit status other than 0."""

import asyncio
import contextlib
import socket
import tempfile
import time
from pathlib import Path

from certificates import Authority
from harness import aside, expect, fails, program, up
from nats import nats_server

ANYWHERE = ("--listen", "127.0.0.1:0")
NOWHERE = "nats://127.0.0.1:1"


async def refused(*arguments, because, **options):
    line = await fails(*arguments, **options)
    expect(because in line, arguments, line)
    return line


@contextlib.contextmanager
def directory():
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


@aside
async def wrong_use_is_one_clear_line():
    for url in ("nonsense", "ftp://x", "http://", "http://a b/"):
        await refused("up", *ANYWHERE, "--runners", "127.0.0.1:0", "--to", url, because=url)
    await refused("runner", "--relay", "http://127.0.0.1:1", because="http://127.0.0.1:1")
    async with up("--token", "secret") as one:
        taken = one.gateway.removeprefix("http://")
        await refused("up", "--listen", taken, "--runners", "127.0.0.1:0", because=taken)
        await refused("runner", "--relay", one.runners, because="it wants another token (401)")
        await refused("runner", "--relay", one.runners, "--token", "wrong", because="it wants another token (401)")
        async with program("runner", "--relay", one.runners, env={"UNDERPASS_TOKEN": "secret"}):
            pass
    async with up() as one:
        await fails("runner", "--relay", one.runners, "--token", "secret")


@aside
async def a_bus_that_is_none_is_told():
    for command in ("gateway", "relay"):
        bus = (command, *ANYWHERE, "--bus")
        await refused(command, because="not provided: --bus <URL>")
        await refused(*bus, "nats://", because="is no URL of a NATS server")
        await refused(*bus, "http://127.0.0.1:4222", because="is no URL of a NATS server")
        await refused(*bus, NOWHERE, "--bus-prefix", "a.b", because="can't stand in front of subjects")
        for option in ("--bus-credentials", "--bus-nkey", "--bus-ca"):
            await refused(*bus, NOWHERE, option, "/there/is/none", because="/there/is/none")
        await refused(*bus, NOWHERE, "--bus-cert", "a.pem", because="--bus-key <FILE>")


@aside
async def a_bus_that_is_not_there_is_waited_for_ten_seconds():
    async def waits(command):
        start = time.monotonic()
        await refused(command, *ANYWHERE, "--bus", "nats://me:secret@127.0.0.1:1", because="127.0.0.1:1", within=13)
        expect(9 < time.monotonic() - start < 12, time.monotonic() - start)

    async def is_frozen():
        async with nats_server() as nats:
            nats.process.send_signal(19)
            await refused("gateway", *ANYWHERE, "--bus", nats.url, because=nats.address, within=13)

    async def comes():
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = "127.0.0.1:%d" % free.getsockname()[1]
        late = asyncio.create_task(asyncio.wait_for(gateway_at(address), 15))
        await asyncio.sleep(3)
        async with nats_server() as nats:
            await nats.kill()
            nats.address = address
            await nats.start()
            await late

    async def gateway_at(address):
        async with program("gateway", *ANYWHERE, "--bus", f"nats://{address}"):
            pass

    await asyncio.gather(waits("gateway"), waits("relay"), is_frozen(), comes())


@aside
async def a_bus_that_does_not_do_is_told():
    async with nats_server(jetstream=False) as nats:
        await refused("gateway", *ANYWHERE, "--bus", nats.url, because="is JetStream on", within=17)
    async with nats_server('authorization { user: "gate", password: "secret" }') as nats:
        for url in (nats.url, nats.url_of("gate:wrong")):
            line = await refused("relay", *ANYWHERE, "--bus", url, because="authorization violation")
            expect("wrong" not in line, line)
        await refused("relay", *ANYWHERE, "--bus", nats.url_of("gate:secret"), "--bus-replicas", "3", because="replicas")


@aside
async def runners_of_other_machines_must_bring_something():
    for command in (("up", *ANYWHERE, "--runners"), ("relay", "--bus", NOWHERE, "--listen")):
        for address in ("0.0.0.0:0", "[::]:0"):
            await refused(*command, address, because="without a token: see --token and --token-file, or --insecure")
        await refused(*command, "127.0.0.1:0", "--token", "my secret", because="the token may have letters")
        await refused(*command, "127.0.0.1:0", "--token-file", "/there/is/none", because="/there/is/none")
        with directory() as files:
            (files / "tokens").write_text("\n")
            await refused(*command, "0.0.0.0:0", "--token-file", files / "tokens", because="there is no token in")
            (files / "tokens").write_text("fits\nmy secret\n")
            line = await refused(*command, "0.0.0.0:0", "--token-file", files / "tokens", because="the token may have")
            expect("secret" not in line, line)
    for enough in (("--insecure",), ("--token", "a,b")):
        async with program("up", *ANYWHERE, "--runners", "0.0.0.0:0", *enough) as one:
            expect(one.runners.startswith("ws://0.0.0.0:"), one.ready)


@aside
async def certificates_that_do_not_do_are_told():
    with directory() as files:
        authority = Authority(files, "authority")
        one, one_key = authority.sign("one")
        _, other_key = authority.sign("other")
        on_nats = ("--bus", NOWHERE, *ANYWHERE)
        for command in (("up", *ANYWHERE, "--runners", "127.0.0.1:0"), ("relay", *on_nats), ("gateway", *on_nats)):
            await refused(*command, "--tls-cert", one, because="--tls-key <FILE>")
            await refused(*command, "--tls-key", one_key, because="--tls-cert <FILE>")
            await refused(*command, "--tls-cert", files / "none", "--tls-key", one_key, because="cannot read")
            await refused(*command, "--tls-cert", one_key, "--tls-key", one_key, because="it has no certificate")
            await refused(*command, "--tls-cert", one, "--tls-key", other_key, because="is not that of the certificate")
        await refused("relay", *on_nats, "--client-ca", one, because="--tls-cert <FILE>")
        relay = ("runner", "--relay", "wss://127.0.0.1:1")
        await refused(*relay, "--ca", files / "none", because="cannot read")
        await refused(*relay, "--ca", authority.certificate, "--tls-cert", one, because="--tls-key <FILE>")


@aside
async def what_else_a_process_is_told_may_be_wrong():
    nowhere = ("gateway", *ANYWHERE, "--bus", NOWHERE)
    await refused(*nowhere, "--drain-limit", "0", because="it must be more than 0")
    await refused(*nowhere, "--threads", "0", because="number would be zero")
    await refused(*nowhere, "--admin", "nonsense", because="cannot listen on nonsense")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        await refused(*nowhere, "--admin", port, because=f"cannot listen on 127.0.0.1:{port}")
    for option in ("--token-file", "--ca"):
        await refused("runner", "--relay", "wss://127.0.0.1:1", option, "/there/is/none", because="/there/is/none")
