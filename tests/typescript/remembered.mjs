// Sockets that outlive their actor's sleep, and the process that it lived in: what an actor knows of each is in its
// key-value store.
const hex = (id) => Buffer.from(id).toString("hex");
const bytes = (text) => new TextEncoder().encode(text);
const text = (bytes) => new TextDecoder().decode(bytes);

export class Remembered {
  #busy = Promise.resolve();

  constructor(runner, actorId, gatewayId, requestId, saved) {
    Object.assign(this, { runner, actorId, gatewayId, requestId, saved });
    this.key = bytes(`socket/${hex(gatewayId)}/${hex(requestId)}`);
  }

  /** Those of an actor. */
  static async all(runner, actorId) {
    const entries = await runner.kvListPrefix(actorId, bytes("socket/"));
    return entries.map(([key, value]) => {
      const [gatewayId, requestId] = text(key).split("/").slice(1).map((id) => Uint8Array.from(Buffer.from(id, "hex")).buffer);
      return new Remembered(runner, actorId, gatewayId, requestId, JSON.parse(text(value)));
    });
  }

  /** One of an actor, new or known. */
  static async one(runner, actorId, gatewayId, requestId, path, headers) {
    const known = (await Remembered.all(runner, actorId)).find((one) => hex(one.requestId) === hex(requestId));
    const saved = { path, headers, serverMessageIndex: 0, clientMessageIndex: 0, count: 0 };
    return known ?? new Remembered(runner, actorId, gatewayId, requestId, saved);
  }

  /** As the runner wants to be told of it at its actor's start. */
  get metadata() {
    const { gatewayId, requestId, saved } = this;
    return { gatewayId, requestId, ...saved };
  }

  /** Each message is counted, and that is saved, before it is acknowledged and answered with the count. */
  attach(socket) {
    socket.addEventListener("message", ({ data, rivetMessageIndex }) =>
      this.#then(async () => {
        this.saved = { ...this.saved, count: this.saved.count + 1, serverMessageIndex: rivetMessageIndex };
        await this.save();
        this.runner.sendHibernatableWebSocketMessageAck(this.gatewayId, this.requestId, rivetMessageIndex);
        socket.send(`${this.saved.count} ${data}`);
      }),
    );
    socket.addEventListener("close", () => this.#then(() => this.runner.kvDelete(this.actorId, [this.key])));
  }

  save() {
    return this.runner.kvPut(this.actorId, [[this.key, bytes(JSON.stringify(this.saved))]]);
  }

  /** One thing after another. What its actor's stop breaks off is done again by the next life. */
  #then(action) {
    this.#busy = this.#busy.then(action).catch(() => {});
  }
}
