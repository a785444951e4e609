// `underpass up` with an admin listener, and a browser that looks at it.

import { spawn } from "node:child_process";
import http from "node:http";
import { chromium } from "playwright-core";

const SOON = 20_000;

/** Starts the program on free ports; the addresses of its gateway and its admin listener. */
export const start = async () => {
  const child = spawn(process.env.PROGRAM, ["up", "--listen", "127.0.0.1:0", "--runners", "127.0.0.1:0", "--admin", "0"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const line = await new Promise((resolve, reject) => {
    child.stdout.once("data", (data) => resolve(String(data)));
    child.once("exit", (code) => reject(new Error(`the program ended with ${code}`)));
  });
  const named = (name) => new RegExp(`${name}=(\\S+)`).exec(line)[1];
  const stop = () => new Promise((resolve) => { child.once("exit", resolve); child.kill("SIGKILL"); });
  return { gateway: named("gateway"), admin: named("admin"), stop };
};

/** A headless browser that notes what goes wrong, and what it fetches from elsewhere. */
export const browse = async (admin, options = {}) => {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
  const context = await browser.newContext({ viewport: { width: 1400, height: 800 }, ...options });
  context.setDefaultTimeout(SOON);
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) complaints.push(message.text()); });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.origin !== admin && url.protocol !== "data:") complaints.push(`fetched ${url}`);
  });
  await page.goto(admin);
  return { browser, page, complaints };
};

/** Opens an answer that does not end by itself; it says when it was cut. */
export const follow = (url) =>
  new Promise((resolve, reject) => {
    const asked = http.get(url, { headers: { cookie: "secret-cookie", authorization: "secret-token" } }, (answer) => {
      const cut = new Promise((done) => { answer.once("close", done); answer.once("error", done); });
      answer.resume();
      resolve({ cut, leave: () => asked.destroy() });
    });
    asked.once("error", reject);
  });

/** Opens a WebSocket; it says when it was closed. */
export const dial = (url) =>
  new Promise((resolve, reject) => {
    const headers = { connection: "upgrade", upgrade: "websocket", "sec-websocket-version": "13", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==" };
    const asked = http.get(url, { headers });
    asked.once("upgrade", (_, socket) => {
      const cut = new Promise((done) => socket.once("data", done));
      resolve({ cut, leave: () => socket.destroy() });
    });
    asked.once("error", reject);
  });

/** What the API says. */
export const api = async (admin, path) => (await fetch(`${admin}/api/${path}`)).json();

/** What whoever calls it by that name is answered: the status. */
export const calledBy = (admin, host, path, method = "GET") =>
  new Promise((resolve, reject) => {
    const asked = http.request(`${admin}${path}`, { method, headers: { host } }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    });
    asked.once("error", reject);
    asked.end();
  });

/** Waits until something is so. */
export const until = async (what, is) => {
  const end = Date.now() + SOON;
  while (!(await is())) {
    if (Date.now() > end) throw new Error(`it never came to be that ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};
