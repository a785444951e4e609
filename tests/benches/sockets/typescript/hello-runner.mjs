// The handler on the published runner.
import { Runner } from "@rivetkit/engine-runner";

const runner = new Runner({
  version: 1,
  endpoint: process.env.RELAY,
  namespace: "default",
  runnerName: process.env.POOL,
  runnerKey: crypto.randomUUID(),
  totalSlots: 1000,
  prepopulateActorNames: {},
  onConnected: () => console.log(`ready pool=${process.env.POOL}`),
  onDisconnected: () => process.exit(1),
  onShutdown: () => process.exit(),
  onActorStart: async () => {},
  onActorStop: async () => {},
  fetch: async () => new Response("Hello, World!"),
  websocket: async () => {},
  hibernatableWebSocket: { canHibernate: () => false },
});

await runner.start();
