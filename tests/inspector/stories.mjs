// Stories of the inspector's page.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";

import { api, browse, calledBy, dial, follow, start, until } from "./harness.mjs";

let program, browser, page, complaints;

before(async () => { program = await start(); });
after(() => program.stop());
beforeEach(async () => { ({ browser, page, complaints } = await browse(program.admin)); });
afterEach(async () => {
  await browser.close();
  assert.deepEqual(complaints, []);
});

const tab = (name) => page.locator(`#tab-${name}`).click();
const rows = () => page.locator("#rows tr");
const row = (text) => rows().filter({ hasText: text });
const count = async (text) => row(text).count();

test("what flows appears, changes and goes while one looks", async () => {
  await page.locator("#live.on").waitFor();
  assert.equal(await rows().count(), 0);
  const clock = await follow(`${program.gateway}/clock?token=secret-query`);
  await row("/clock").waitFor();
  const before = await row("/clock").innerText();
  await until("more of the answer has gone by", async () => (await row("/clock").innerText()) !== before);
  assert.match(before, /answered\s+200\s+GET\s+\/clock\s+default/);
  clock.leave();
  await until("it has gone", async () => (await count("/clock")) === 0);
  await tab("finished");
  assert.match(await row("/clock").innerText(), /client_gone/);
});

test("one request is opened, with its timeline and its frames, and ended", async () => {
  const clock = await follow(`${program.gateway}/clock`);
  await row("/clock").click();
  const detail = page.locator("#detail");
  await detail.getByText("ToServerResponseStart").first().waitFor();
  const text = await detail.innerText();
  for (const expected of ["Timeline", "opened", "answered", "gateway", "relay", "runner", "ToClientRequestStart"]) {
    assert.ok(text.includes(expected), `${expected} in ${text}`);
  }
  await page.locator("#end").click();
  await clock.cut;
  await detail.getByText("ended_by_operator").first().waitFor();
  await until("it has gone", async () => (await count("/clock")) === 0);
  await tab("finished");
  await row("ended_by_operator").waitFor();
});

test("a row can be clicked and the keyboard goes on while much flows", async () => {
  let flows = true;
  const traffic = Promise.all(Array.from({ length: 8 }, async () => {
    while (flows) await (await fetch(`${program.gateway}/hello`)).text();
  }));
  const clock = await follow(`${program.gateway}/gateway/quiet/clock`);
  await row("quiet").click();
  await page.locator("#detail").getByText("/clock").first().waitFor();
  await row("quiet").focus();
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  assert.equal(await page.evaluate(() => document.activeElement.textContent.includes("quiet")), true);
  flows = false;
  await traffic;
  await tab("finished");
  await until("many are listed", async () => (await count("/hello")) > 100);
  clock.leave();
});

test("a WebSocket is shown among its like, and ended", async () => {
  const socket = await dial(`${program.gateway}/gateway/someone/ws`);
  await tab("websockets");
  await row("someone").click();
  await page.locator("#end").click();
  const close = await socket.cut;
  assert.deepEqual([close[0], close.readUInt16BE(2)], [0x88, 1013]);
  assert.match(String(close.subarray(4)), /^ended_by_operator#/);
  await until("it has gone", async () => (await count("someone")) === 0);
});

test("the filter leaves what matches, by the keyboard alone", async () => {
  for (const path of ["/hello", "/none", "/hello"]) await fetch(program.gateway + path);
  // From the first table to the third.
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  await until("all three are there", async () => (await count("/hello")) >= 2 && (await count("/none")) >= 1);
  await page.keyboard.press("/");
  await page.keyboard.type("/none 404");
  assert.equal(await rows().count(), await count("/none"));
  await page.keyboard.press("Enter");
  await page.keyboard.press("Enter");
  await page.locator("#title").getByText("GET /none").waitFor();
  await page.keyboard.press("Escape");
  assert.ok(await page.locator("#detail").isHidden());
  await page.keyboard.press("/");
  await page.keyboard.press("Escape");
  await page.keyboard.press("/");
  await page.keyboard.type("opened_unix_ms");
  assert.equal(await rows().count(), 0, "names of fields match nothing");
  await page.keyboard.press("Escape");
  assert.ok((await rows().count()) > (await count("/none")));
  const chosen = () => page.locator('#rows tr[aria-selected="true"]').getAttribute("data-id");
  const first = await chosen();
  await page.keyboard.press("ArrowDown");
  assert.notEqual(await chosen(), first);
  await page.keyboard.press("Home");
  const top = await chosen();
  await page.keyboard.press("End");
  assert.notEqual(await chosen(), top);
});

test("a runner is drained: it comes again by another connection", async () => {
  await tab("runners");
  await row("ready").waitFor();
  const connection = async () => (await api(program.admin, "runners")).runners[0]?.connection?.number;
  const before = await connection();
  await row("ready").click();
  await page.locator("#drain").click();
  await page.locator("#said").getByText("Done.").waitFor();
  await until("it has another connection", async () => (await connection()) > before);
  await row(`#${await connection()} (here)`).filter({ hasText: "ready" }).waitFor();
  assert.equal(await (await fetch(`${program.gateway}/hello`)).text(), "hello");
});

test("nothing secret is shown", async () => {
  await fetch(`${program.gateway}/echo?token=secret-query`, {
    method: "POST", body: "secret-body", headers: { cookie: "secret-cookie", authorization: "secret-token" },
  });
  const { finished } = await api(program.admin, "finished?limit=20");
  const wholes = await Promise.all(finished.map((request) => api(program.admin, `requests/${request.name}`)));
  assert.ok(wholes.some((whole) => whole.path === "/echo"));
  assert.doesNotMatch(JSON.stringify([finished, wholes]), /secret-/);
});

test("a page of another origin can press nothing, and no other name leads here", async () => {
  const clock = await follow(`${program.gateway}/clock`);
  await until("it is known", async () => (await api(program.admin, "requests")).requests.length > 0);
  const { requests } = await api(program.admin, "requests");
  const foreign = await fetch(`${program.admin}/api/requests/${requests[0].name}/end`, { method: "POST", headers: { origin: "http://127.0.0.1:1" } });
  assert.equal(foreign.status, 403);
  const end = `/api/requests/${requests[0].name}/end`;
  for (const [path, method] of [["/", "GET"], ["/api/requests", "GET"], ["/api/events", "GET"], [end, "POST"]]) {
    assert.equal(await calledBy(program.admin, "evil.example", path, method), 403, path);
  }
  assert.equal(await calledBy(program.admin, "localhost", "/api/requests"), 200);
  assert.equal((await api(program.admin, "requests")).requests.length, 1);
  clock.leave();
});

for (const scheme of ["light", "dark"]) {
  test(`it is seen in ${scheme}`, async () => {
    const clock = await follow(`${program.gateway}/clock`);
    await fetch(`${program.gateway}/hello`);
    await page.emulateMedia({ colorScheme: scheme });
    await row("/clock").click();
    await page.locator("#detail").getByText("ToServerResponseStart").first().waitFor();
    await page.screenshot({ path: `${process.env.OUTPUT}/request-${scheme}.png` });
    for (const name of ["finished", "runners"]) {
      await tab(name);
      await rows().first().waitFor();
      await page.screenshot({ path: `${process.env.OUTPUT}/${name}-${scheme}.png` });
    }
    const light = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    assert.equal(light, scheme === "light" ? "rgb(251, 251, 250)" : "rgb(19, 20, 22)");
    clock.leave();
  });
}
