import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, it } from "vitest";
import { joinSockets } from "./join-sockets.ts";
import type { Pace } from "./join-sockets.ts";

let dir: string;
let servers: Server[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "plenum-join-"));
  servers = [];
});
afterEach(() => {
  for (const server of servers) server.close();
  rmSync(dir, { recursive: true });
});

async function listen(name: string, take: (socket: Socket) => void): Promise<string> {
  const path = join(dir, name);
  const server = createServer({ allowHalfOpen: true }, take);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return path;
}

async function through(pace: Pace | undefined, take: (socket: Socket) => void): Promise<Socket> {
  const far = await listen("far", take);
  const near = await listen("near", (socket) => joinSockets(socket, connect({ path: far, allowHalfOpen: true }), pace));
  return connect({ path: near, allowHalfOpen: true });
}

it("tells one side's end to the other, which may go on", async () => {
  const socket = await through(undefined, (far) => void text(far).then((all) => far.end(`heard ${all}`)));
  socket.end("this");
  expect(await text(socket)).toBe("heard this");
});

it("lets go on only what the pace allows, and loses nothing", async () => {
  let asked = 0;
  let granted = 0;
  const pace: Pace = (bytes) => {
    asked += 1;
    if (asked % 2 === 1) return 1;
    granted += bytes;
    return 0;
  };
  const socket = await through(pace, (far) => void far.pipe(far));
  socket.end("x".repeat(300_000));
  expect((await text(socket)).length).toBe(300_000);
  expect(granted).toBe(600_000); // both ways
});
