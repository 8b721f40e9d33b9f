import { createConnection } from "node:net";
import type { Socket } from "node:net";

/**
 * A WebSocket by its shape only: the bytes travel over TCP as they are, as they do behind Neon's proxy. For
 * `neonConfig.webSocketConstructor`.
 */
export class TcpWebSocket extends EventTarget {
  binaryType = "arraybuffer";
  readonly #socket: Socket;

  constructor(address: string) {
    super();
    const { hostname, port } = new URL(address);
    this.#socket = createConnection({ host: hostname, port: Number(port) });
    this.#socket.on("connect", () => this.dispatchEvent(new Event("open")));
    this.#socket.on("data", (data) => this.dispatchEvent(Object.assign(new Event("message"), { data })));
    this.#socket.on("close", () => this.dispatchEvent(new Event("close")));
    // A WebSocket tells of a connection that breaks by its end.
    this.#socket.on("error", () => undefined);
  }

  send(bytes: Uint8Array): void {
    if (this.#socket.writable) this.#socket.write(bytes);
  }

  close(): void {
    this.#socket.end();
  }
}
