// An application on the published runner. Each actor counts in its key-value store, and so goes on counting after a
// sleep, a crash or a move to another process.
import { Runner } from "@rivetkit/engine-runner";

const key = new TextEncoder().encode("count");

const runner = new Runner({
  version: 1,
  endpoint: process.env.RELAY ?? "http://127.0.0.1:8081",
  token: process.env.TOKEN,
  namespace: "default",
  runnerName: "counters",
  runnerKey: crypto.randomUUID(), // versions before 2.2 take it from here, newer ones make their own
  totalSlots: 1000,
  prepopulateActorNames: {},
  onConnected: () => console.log("connected"),
  onDisconnected: (code, reason) => console.log("disconnected", code, reason),
  onShutdown: () => process.exit(),
  onActorStart: async (actorId, generation) => console.log(`${actorId} starts, generation ${generation}`),
  onActorStop: async (actorId) => console.log(`${actorId} stops`),
  fetch: async (runner, actorId, gatewayId, requestId, request) => {
    const [stored] = await runner.kvGet(actorId, [key]);
    const count = (stored ? Number(new TextDecoder().decode(stored)) : 0) + 1;
    await runner.kvPut(actorId, [[key, new TextEncoder().encode(String(count))]]);
    return new Response(`${actorId} was asked ${count} times, now for ${new URL(request.url).pathname}\n`);
  },
  websocket: async (runner, actorId, socket) => {
    socket.addEventListener("message", (event) => socket.send(event.data));
  },
  hibernatableWebSocket: { canHibernate: () => false },
});

await runner.start();
