// The inspector: shows what /api says, anew whenever /api/events says that it has changed.

import { bytes, micros, mood, since, tables } from "./tables.js";

const by = (id) => document.getElementById(id);
const known = new Map(tables.map((table) => [table.name, { rows: [], left_out: 0, never_kept: 0, has_more: false }]));
let can = { drain_runners: false, end_requests: false };
let shown = tables.find((table) => `#${table.name}` === location.hash) ?? tables[0];
let filter = "";
let chosen = null; // The id of the row that the keyboard is at.
let opened = null; // The id of the row whose details are shown.
let stale = new Set(tables.map((table) => table.name));
let refreshing = false;

const make = (tag, fields = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(fields)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
};

const ask = async (path, options) => {
  const answer = await fetch(path, { cache: "no-store", ...options });
  const body = await answer.json();
  return { ok: answer.ok, body };
};

const fetchTable = async (name) => {
  const { ok, body } = await ask(`/api/${name}`);
  if (!ok) throw new Error(body.error);
  const { left_out, never_kept = 0, has_more = false } = body;
  known.set(name, { rows: body[name], left_out, never_kept, has_more });
};

// Tables that changed are asked for once more; if they change meanwhile, once more again.
const refresh = async () => {
  if (refreshing) return;
  refreshing = true;
  try {
    while (stale.size > 0) {
      const names = [...stale];
      stale = new Set();
      await Promise.all(names.map(fetchTable)).catch((error) => {
        for (const name of names) stale.add(name);
        throw error;
      });
      render();
      await showDetail();
    }
  } catch {
    // The process has gone, or comes back: the events will say so. What was not answered is asked for again then.
  } finally {
    refreshing = false;
  }
};

// What a row says, without the names of what it says.
const values = (value) => (value !== null && typeof value === "object" ? Object.values(value).map(values).join(" ") : String(value ?? ""));

const matches = (row) => {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const all = `${shown.columns.map((column) => column.show(row)).join(" ")} ${values(row)}`.toLowerCase();
  return words.every((word) => all.includes(word));
};

const visible = () => known.get(shown.name).rows.filter(matches);

const set = (element, text) => { if (element.textContent !== text) element.textContent = text; };

// What is there already is changed and not replaced, so that a click, the focus and a selection live through it.
const fill = (tr, row) => {
  const id = shown.id(row);
  tr.setAttribute("aria-selected", String(id === chosen));
  tr.tabIndex = id === chosen ? 0 : -1;
  shown.columns.forEach((column, at) => {
    const value = String(column.show(row) ?? "");
    const td = tr.children[at];
    set(td, value);
    td.className = column.kind === "state" ? mood(value) : column.kind;
    if (column.kind === "long") td.title = value;
  });
  return tr;
};

const emptyRow = (row) => {
  const tr = make("tr", { "data-id": shown.id(row) }, ...shown.columns.map(() => make("td")));
  tr.addEventListener("click", () => { chosen = tr.dataset.id; open(chosen); });
  return tr;
};

const renderTabs = () => {
  for (const table of tables) {
    const { rows, left_out, has_more } = known.get(table.name);
    const tab = by(`tab-${table.name}`);
    tab.setAttribute("aria-selected", String(table === shown));
    set(tab.querySelector(".count"), `${rows.length + left_out}${has_more ? "+" : ""}`);
  }
};

const renderRows = (rows) => {
  const there = new Map([...by("rows").children].map((tr) => [tr.dataset.id, tr]));
  let next = by("rows").firstElementChild;
  for (const row of rows) {
    const id = shown.id(row);
    const tr = fill(there.get(id) ?? emptyRow(row), row);
    there.delete(id);
    if (tr === next) next = next.nextElementSibling;
    else by("rows").insertBefore(tr, next);
  }
  for (const tr of there.values()) {
    if (tr.contains(document.activeElement)) queueMicrotask(focusChosen);
    tr.remove();
  }
};

const render = () => {
  renderTabs();
  const { rows: all, left_out, never_kept, has_more } = known.get(shown.name);
  const rows = visible();
  if (!rows.some((row) => shown.id(row) === chosen)) chosen = rows.length ? shown.id(rows[0]) : null;
  renderRows(rows);
  const more = [
    left_out ? `, ${left_out} more are not listed` : "",
    never_kept ? `, ${never_kept} were too many to be kept` : "",
    has_more ? ", and there are more than can be kept" : "",
  ].join("");
  set(by("caption"), `${shown.title}: ${rows.length}${filter ? ` of ${all.length}` : ""}${more}`);
  by("empty").hidden = rows.length > 0;
  set(by("empty"), filter ? "Nothing matches the filter." : "There are none now.");
};

const row = (id) => known.get(shown.name).rows.find((row) => shown.id(row) === id);
const focusChosen = () => by("rows").querySelector('[aria-selected="true"]')?.focus({ preventScroll: false });

const choose = (table) => {
  shown = table;
  chosen = null;
  close();
  history.replaceState(null, "", `#${table.name}`);
  begin();
};

// Another table is shown.
const begin = () => {
  const title = (column) => make("th", { scope: "col", className: column.kind === "number" ? "number" : "", textContent: column.title });
  by("head").replaceChildren(...shown.columns.map(title));
  by("rows").replaceChildren();
  render();
};

const move = (steps) => {
  const ids = visible().map(shown.id);
  if (ids.length === 0) return;
  const at = Math.max(0, ids.indexOf(chosen));
  chosen = ids[Math.min(ids.length - 1, Math.max(0, at + steps))];
  render();
  focusChosen();
};

const open = async (id) => {
  opened = id;
  by("said").textContent = "";
  delete by("what").dataset.shows;
  render();
  await showDetail();
};

const close = () => {
  opened = null;
  by("detail").hidden = true;
  document.querySelector("main").classList.remove("split");
};

const facts = (pairs) => make("dl", {}, ...pairs.filter(([, value]) => value != null && value !== "").flatMap(([name, value]) => [make("dt", { textContent: name }), make("dd", { textContent: value })]));

const grid = (caption, titles, rows) =>
  [make("h3", { textContent: caption }), make("table", {},
    make("thead", {}, make("tr", {}, ...titles.map((title) => make("th", { scope: "col", textContent: title })))),
    make("tbody", {}, ...rows.map((cells) => make("tr", {}, ...cells.map((value) => make("td", { textContent: value ?? "" }))))))];

const button = (id, label, path) => {
  const element = make("button", { type: "button", id, className: "danger", textContent: label });
  element.addEventListener("click", async () => {
    element.disabled = true;
    const { ok, body } = await ask(path, { method: "POST" }).catch(() => ({ ok: false, body: { error: "the process does not answer" } }));
    by("said").textContent = ok ? "Done." : body.error;
    element.disabled = false;
  });
  return element;
};

const noButtons = () => by("buttons").replaceChildren();

const showDetail = async () => {
  const id = opened;
  if (id === null) return;
  const isRequest = shown.of === "requests";
  let it = row(id);
  if (isRequest) {
    const { ok, body } = await ask(`/api/requests/${encodeURIComponent(id)}`);
    if (opened !== id) return;
    it = ok ? body : null;
  }
  by("detail").hidden = false;
  document.querySelector("main").classList.add("split");
  if (!it) {
    noButtons();
    by("said").textContent = "It is not there any more.";
    return;
  }
  // What has not changed is not shown anew: somebody may be reading or selecting it.
  const now = JSON.stringify(it);
  if (by("what").dataset.shows === now) return;
  by("what").dataset.shows = now;
  if (isRequest) showRequest(it);
  else showRecord(it);
};

const buttons = (wanted) => {
  const there = by("buttons").firstElementChild?.id;
  if (there !== wanted?.id || by("buttons").dataset.of !== opened) by("buttons").replaceChildren(...(wanted ? [wanted] : []));
  by("buttons").dataset.of = opened;
};

const showRequest = (it) => {
  by("title").textContent = `${it.method} ${it.path}`;
  const isOpen = it.state !== "ended" && it.state !== "ending";
  buttons(isOpen && can.end_requests ? button("end", it.kind === "http" ? "End this request" : "End this WebSocket", `/api/requests/${it.name}/end`) : null);
  const frame = (seen) => [micros(seen.at), seen.hop, seen.direction === "to_runner" ? "→ runner" : "← client", seen.kind, seen.index, bytes(seen.bytes)];
  const { first, left_out, last } = it.frame_headers;
  const frames = [...first.map(frame), ...(left_out ? [["", "", "", `${left_out} frames are left out`, "", ""]] : []), ...last.map(frame)];
  const bodies = it.bodies ? [["Body to the runner", it.bodies.to_runner], ["Body to the client", it.bodies.to_gateway]] : [];
  by("what").replaceChildren(
    facts([["Request", it.name], ["Kind", it.kind], ["Actor", it.actor], ["State", it.state], ["Status", it.status], ["End", it.end],
      ["Opened", new Date(it.opened_unix_ms).toISOString()], ["First byte", micros(it.answered_after)], ["Whole", micros(it.duration)],
      ["To runner", `${bytes(it.bytes.to_runner)} in ${it.frames.to_runner} frames`],
      ["To client", `${bytes(it.bytes.to_gateway)} in ${it.frames.to_gateway} frames`]]),
    ...grid("Hops", ["Hop", "Opened", "Answered", "Ended", "End"], it.hops.map((hop) => [hop.hop, micros(hop.opened), micros(hop.answered), micros(hop.ended), hop.end])),
    ...grid("Timeline", ["After", "Hop", "What"], it.timeline.map((happened) => [micros(happened.at), happened.hop, happened.what])),
    ...bodies.flatMap(([title, body]) => [make("h3", { textContent: `${title}${body.left_out ? `, without its last ${body.left_out} bytes` : ""}` }), make("pre", { textContent: body.text })]),
    ...grid("Frames", ["After", "Hop", "Way", "Kind", "Number", "Size"], frames));
};

const showRecord = (it) => {
  by("title").textContent = it.key ?? it.id;
  const drains = shown.name === "runners" && it.here && can.drain_runners;
  buttons(drains ? button("drain", "Drain this runner", `/api/runners/${encodeURIComponent(it.id)}/drain`) : null);
  const flat = Object.entries(it).map(([name, value]) => {
    if (name === "last") return ["last told of", `${since(value.unix_ms)} ago`];
    if (name.endsWith("unix_ms")) return [name.replace("_unix_ms", ""), value == null ? "" : new Date(value).toISOString()];
    if (value && typeof value === "object") return [name.replaceAll("_", " "), `${value.relay} #${value.number}`];
    return [name.replaceAll("_", " "), value === null ? "" : String(value)];
  });
  by("what").replaceChildren(facts(flat));
};

by("close").addEventListener("click", close);
by("filter").addEventListener("input", (event) => { filter = event.target.value; render(); });

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const types = event.target === by("filter");
  const turn = (steps) => choose(tables[(tables.indexOf(shown) + steps + tables.length) % tables.length]);
  const onButton = event.target instanceof HTMLButtonElement || event.target instanceof HTMLAnchorElement;
  const keys = {
    "/": types ? null : () => { by("filter").focus(); by("filter").select(); },
    Escape: () => {
      if (types) { by("filter").value = filter = ""; by("filter").blur(); render(); focusChosen(); }
      else { close(); focusChosen(); }
    },
    ArrowDown: () => (types ? focusChosen() : move(1)),
    ArrowUp: types ? null : () => move(-1),
    Home: types ? null : () => move(-Infinity),
    End: types ? null : () => move(Infinity),
    ArrowLeft: types ? null : () => turn(-1),
    ArrowRight: types ? null : () => turn(1),
    Enter: types || onButton ? (types ? () => focusChosen() : null) : () => chosen !== null && open(chosen),
  };
  const act = keys[event.key];
  if (act) { event.preventDefault(); act(); }
});

const live = (state, text) => { by("live").className = state; by("live").textContent = text; };

let seen = {};

// Whoever answers may be another process than before: what it can do is asked each time.
const askWhatCanBeDone = async () => {
  const { ok, body } = await ask("/api/");
  if (!ok || JSON.stringify(body.can) === JSON.stringify(can)) return;
  can = body.can;
  delete by("what").dataset.shows;
  await showDetail();
};

const follow = () => {
  const events = new EventSource("/api/events");
  events.addEventListener("open", () => {
    live("on", "live");
    seen = {};
    askWhatCanBeDone().catch(() => {});
  });
  events.addEventListener("error", () => {
    live("off", "no connection");
    // One that was refused does not come again by itself.
    if (events.readyState === EventSource.CLOSED) setTimeout(follow, 5_000);
  });
  events.addEventListener("changed", (event) => {
    const changes = JSON.parse(event.data);
    for (const table of tables) if (changes[table.of] !== seen[table.of]) stale.add(table.name);
    seen = changes;
    refresh();
  });
};
setInterval(() => {
  if (document.visibilityState === "visible") render();
  if (by("live").className === "on") refresh();
}, 1_000);

by("tabs").append(...tables.map((table) => {
  const count = make("span", { className: "count" });
  const tab = make("button", { type: "button", id: `tab-${table.name}`, role: "tab", tabIndex: -1 }, table.title, " ", count);
  tab.addEventListener("click", () => choose(table));
  return tab;
}));
begin();
follow();
refresh();
