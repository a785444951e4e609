// What the stories run on the published runner: a route for each thing that a runner can do, and a line of JSON on
// standard output for each thing that happens to it.
import { setTimeout as sleep } from "node:timers/promises";
import { Runner } from "@rivetkit/engine-runner";
import { Remembered } from "./remembered.mjs";

const tell = (what, details = {}) => console.log(JSON.stringify({ what, ...details }));
const hex = (id) => Buffer.from(id).toString("hex");
const alive = new Map(); // actor to the generation that lives here

/** Calls of the key-value store travel as JSON: `["kvPut", [["key", "value"]]]`; bytes are text. */
const toBytes = (value) =>
  typeof value === "string" ? new TextEncoder().encode(value) : Array.isArray(value) ? value.map(toBytes) : value;
const toText = (value) =>
  value instanceof Uint8Array ? new TextDecoder().decode(value) : Array.isArray(value) ? value.map(toText) : value;

const routes = {
  hello: async ({ actorId }) => new Response(`hello from ${actorId}`),
  who: async ({ actorId }) => Response.json({ actor: actorId, generation: alive.get(actorId), process: process.pid }),
  echo: async ({ request }) => new Response(await request.arrayBuffer()),
  slow: async ({ milliseconds }) => {
    await sleep(milliseconds);
    return new Response("slow");
  },
  throws: async () => {
    throw new Error("on purpose");
  },
  kv: async ({ runner, actorId, request }) => {
    const [call, ...details] = await request.json();
    try {
      return Response.json(toText((await runner[call](actorId, ...details.map(toBytes))) ?? null));
    } catch (error) {
      return new Response(error.message, { status: 400 });
    }
  },
  // What an actor may want for itself. The answer must be away before the actor is.
  sleep: async ({ runner, actorId }) => later(() => runner.sleepActor(actorId)),
  alarm: async ({ runner, actorId, milliseconds }) => {
    runner.setAlarm(actorId, Date.now() + milliseconds);
    return later(() => runner.sleepActor(actorId));
  },
  stop: async ({ runner, actorId }) => later(() => runner.stopActor(actorId)),
  crash: async ({ runner, actorId }) => later(() => runner.forceStopActor(actorId)),
};

function later(action) {
  setTimeout(action, 50);
  return new Response("soon");
}

const runner = new Runner({
  version: 1,
  endpoint: process.env.RELAY,
  token: process.env.TOKEN,
  namespace: process.env.NAMESPACE ?? "default",
  runnerName: process.env.POOL ?? "actors",
  runnerKey: process.env.KEY,
  totalSlots: Number(process.env.SLOTS ?? 1000),
  prepopulateActorNames: {},
  metadata: {},
  onConnected: () => tell("connected"),
  onDisconnected: (code, reason) => tell("disconnected", { code, reason: String(reason) }),
  onShutdown: () => {
    tell("shut down");
    process.exit();
  },
  onActorStart: async (actorId, generation) => {
    alive.set(actorId, generation);
    if (process.env.REMEMBERS) {
      const remembered = await Remembered.all(runner, actorId);
      await runner.restoreHibernatingRequests(actorId, remembered.map((one) => one.metadata));
    }
    tell("started", { actor: actorId, generation });
  },
  onActorStop: async (actorId, generation) => {
    alive.delete(actorId);
    tell("stopped", { actor: actorId, generation });
  },
  fetch: async (runner, actorId, gatewayId, requestId, request) => {
    const [, name, milliseconds] = new URL(request.url).pathname.split("/");
    tell("request", { actor: actorId, name, gateway: hex(gatewayId), request: hex(requestId) });
    const route = routes[name];
    if (!route) return new Response("no such route", { status: 404 });
    return route({ runner, actorId, request, milliseconds: Number(milliseconds) });
  },
  websocket: async (runner, actorId, socket, gatewayId, requestId, request, path, headers, hibernates, restored) => {
    const details = { actor: actorId, gateway: hex(gatewayId), request: hex(requestId) };
    tell(restored ? "socket restored" : "socket", details);
    socket.addEventListener("close", ({ code, reason }) => tell("socket closed", { actor: actorId, code, reason }));
    if (hibernates) {
      const one = await Remembered.one(runner, actorId, gatewayId, requestId, path, headers);
      if (restored) later(() => socket.send("awake"));
      else await one.save();
      return one.attach(socket);
    }
    socket.addEventListener("message", ({ data }) => {
      const [command, code, ...reason] = typeof data === "string" ? data.split(" ") : [];
      if (command === "close") socket.close(Number(code), reason.join(" "));
      else socket.send(data);
    });
  },
  hibernatableWebSocket: {
    canHibernate: (actorId, gatewayId, requestId, request) => request.url.endsWith("/remembered"),
  },
});

await runner.start();
