// The tables: where their rows come from, what their columns show, and what identifies a row.

export const micros = (time) =>
  time == null ? "" : time < 1_000 ? `${time} µs` : time < 1_000_000 ? `${(time / 1_000).toFixed(1)} ms` : seconds(time / 1e6);

const seconds = (time) =>
  time < 60 ? `${time.toFixed(1)} s` : time < 3_600 ? `${Math.floor(time / 60)} min ${Math.floor(time % 60)} s` : `${(time / 3_600).toFixed(1)} h`;

export const bytes = (count) =>
  count == null ? "" : count < 1_024 ? `${count} B` : count < 1_048_576 ? `${(count / 1_024).toFixed(1)} KiB` : `${(count / 1_048_576).toFixed(1)} MiB`;

export const since = (unix) => (unix == null ? "" : micros(Math.max(0, Date.now() - unix) * 1_000));

const GOOD = new Set(["ready", "running", "answered", "done"]);
const WAITS = new Set(["waiting", "asleep", "sleeping", "wanted", "starting", "stopping", "moving", "draining", "full", "ending", "client_gone"]);

export const mood = (word) => (GOOD.has(word) ? "good" : WAITS.has(word) ? "waits" : word ? "bad" : "");

const text = (title, show, kind = "") => ({ title, show, kind });
const number = (title, show) => ({ title, show, kind: "number" });
const state = (title, show) => ({ title, show, kind: "state" });

const transfer = [
  number("To runner", (row) => bytes(row.bytes.to_runner)),
  number("To client", (row) => bytes(row.bytes.to_gateway)),
];
const what = [text("Method", (row) => row.method), text("Path", (row) => row.path, "long"), text("Actor", (row) => row.actor, "long")];
const last = text("Last", (row) => `${row.last.what}, ${since(row.last.unix_ms)} ago`);
const hop = (name) =>
  number(name[0].toUpperCase() + name.slice(1), (row) => {
    const seen = row.hops.find((seen) => seen.hop === name);
    return seen?.ended == null ? "" : micros(seen.ended - seen.opened);
  });
const open = [
  text("Request", (row) => row.name, "name"),
  state("State", (row) => row.state),
  number("Status", (row) => row.status ?? ""),
  ...what,
  number("Age", (row) => since(row.opened_unix_ms)),
  ...transfer,
  last,
];

export const tables = [
  { name: "requests", title: "Requests", of: "requests", id: (row) => row.name, columns: open },
  { name: "websockets", title: "WebSockets", of: "requests", id: (row) => row.name, columns: open },
  {
    name: "finished", title: "Finished", of: "requests", id: (row) => row.name,
    columns: [
      text("Request", (row) => row.name, "name"),
      text("Kind", (row) => row.kind),
      ...what,
      number("Status", (row) => row.status ?? ""),
      state("End", (row) => row.end),
      number("First byte", (row) => micros(row.answered_after)),
      number("Whole", (row) => micros(row.duration)),
      hop("gateway"), hop("relay"), hop("runner"),
      ...transfer,
    ],
  },
  {
    name: "runners", title: "Runners", of: "fleet", id: (row) => row.id,
    columns: [
      text("Key", (row) => row.key, "long"),
      state("State", (row) => row.state),
      text("Pool", (row) => row.pool),
      text("Namespace", (row) => row.namespace),
      text("Relay", (row) => (row.connection ? `${row.connection.relay.slice(0, 8)} #${row.connection.number}${row.here ? " (here)" : ""}` : ""), "name"),
      number("Protocol", (row) => row.protocol_version),
      number("Slots", (row) => row.slots),
      text("Actors", (row) => (row.stateless ? "stateless" : "with state")),
      number("Seen for", (row) => since(row.seen_unix_ms)),
      last,
    ],
  },
  {
    name: "actors", title: "Actors", of: "fleet", id: (row) => `${row.namespace}/${row.pool}/${row.id}`,
    columns: [
      text("Actor", (row) => row.id, "long"),
      state("State", (row) => row.state),
      text("Pool", (row) => row.pool),
      text("Runner", (row) => row.runner?.slice(0, 8) ?? "", "name"),
      number("Life", (row) => row.generation),
      number("Crashes", (row) => row.crashes),
      number("Age", (row) => since(row.created_unix_ms)),
      last,
    ],
  },
];
