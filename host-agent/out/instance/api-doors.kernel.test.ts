import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { willLeave } from "#lib/linux/testing/leftovers.ts";
import { ApiDoors } from "./api-doors.ts";
import { CONNECTIONS_OF_INSTANCE } from "./api-socket.ts";

const GID = 0x70001234;

let dir: string;
let api: Server;
let reached: Socket[];
let kept: Map<string, (token: string | undefined) => void>;
let failures: unknown[];
let doors: ApiDoors;

const open = (endpoint: string | undefined = `unix:${join(dir, "api")}`): ApiDoors =>
  new ApiDoors({
    endpoint,
    tokens: { keep: (id, put) => void kept.set(id, put), drop: (id) => void kept.delete(id) },
    roots: () => "roots",
    failed: (_id, error) => failures.push(error),
  });
// Longer than a socket's address may be.
const view = (id = "i-1") => ({ directory: join(dir, "x".repeat(100), `${id}.view`), gid: GID });
const files = (id = "i-1"): string[] => readdirSync(view(id).directory).sort();
/** As the guest does: by a path that is short for it. */
function guest(id = "i-1"): Socket {
  const socket = connect({ path: join(dir, `${id}.link`), allowHalfOpen: true });
  socket.on("error", () => undefined);
  return socket;
}

/** It connects and goes, or finds nobody. */
async function again(): Promise<void> {
  const socket = guest();
  await new Promise((resolve) => socket.on("close", resolve).resume().end());
}

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "plenum-doors-"));
  willLeave({ kind: "directory", dir });
  for (const id of ["i-1", "i-2"]) symlinkSync(join(view(id).directory, "api.sock"), join(dir, `${id}.link`));
  [reached, kept, failures] = [[], new Map(), []];
  api = createServer({ allowHalfOpen: true }, (socket) => {
    reached.push(socket);
    socket.on("error", () => undefined).pipe(socket);
  });
  await new Promise<void>((resolve) => api.listen(join(dir, "api"), resolve));
  doors = open();
});
afterEach(() => {
  doors.close();
  for (const socket of reached) socket.destroy();
  api.close();
  rmSync(dir, { recursive: true });
});

it("carries a guest's bytes both ways, however deep its view lies, and gives it what it needs in files of its group", async () => {
  doors.set("i-1", view(), "robot since 1");
  kept.get("i-1")!("first");
  expect(files()).toEqual(["api.sock", "ca.pem", "token"]);
  const modes = ["", "api.sock", "ca.pem", "token"].map((name) => {
    const { mode, uid, gid } = statSync(join(view().directory, name));
    return [(mode & 0o777).toString(8), uid, gid];
  });
  expect(modes).toEqual([
    ["750", 0, GID],
    ["660", 0, GID],
    ["640", 0, GID],
    ["640", 0, GID],
  ]);
  const socket = guest();
  socket.end("y".repeat(1_000_000));
  expect((await text(socket)).length).toBe(1_000_000);
});

it("is as wanted, whatever it was: another identity has no token of the one before, and nobody has nothing", () => {
  doors.set("i-1", view(), "robot since 1");
  const put = kept.get("i-1")!;
  put("first");
  doors.set("i-1", view(), "robot since 1");
  expect(kept.get("i-1")).toBe(put);
  doors.set("i-1", view(), "robot since 2");
  expect(kept.get("i-1")).not.toBe(put);
  expect(files()).toEqual(["api.sock", "ca.pem"]);
  kept.get("i-1")!("second");
  expect(readFileSync(join(view().directory, "token"), "utf8")).toBe("second");
  kept.get("i-1")!(undefined);
  expect(files()).toEqual(["api.sock", "ca.pem"]);
  doors.set("i-1", view(), "");
  expect(files()).toEqual([]);
  expect(kept.size).toBe(0);
});

it("takes over from an agent that was killed: its socket and token too", async () => {
  doors.set("i-1", view(), "robot since 1");
  kept.get("i-1")!("first");
  // What a killed one leaves: its files, all of them.
  const successor = open();
  successor.set("i-1", view(), "robot since 1");
  expect(readFileSync(join(view().directory, "token"), "utf8")).toBe("first");
  const socket = guest();
  socket.end("hello");
  expect(await text(socket)).toBe("hello");
  successor.close();
  const last = open();
  last.set("i-1", view(), "");
  expect(files()).toEqual([]);
});

it("ends a guest's connections with its identity, and the guest's with the API's", async () => {
  doors.set("i-1", view(), "robot since 1");
  const first = guest();
  first.write("x");
  await vi.waitUntil(() => reached.length === 1);
  reached[0]!.destroy();
  await text(first);
  first.destroy();
  const second = guest();
  second.write("x");
  await vi.waitUntil(() => reached.length === 2);
  const closed = new Promise((resolve) => reached[1]!.on("close", resolve));
  doors.set("i-1", view(), "");
  await Promise.all([text(second), closed]);
  second.destroy();
});

it("carries so many of an instance at the same time, and no more", async () => {
  doors.set("i-1", view(), "robot since 1");
  const many = Array.from({ length: CONNECTIONS_OF_INSTANCE + 5 }, () => guest());
  const closed = vi.fn();
  for (const socket of many) socket.on("close", closed).resume().write("x");
  await vi.waitFor(() => expect([reached.length, closed.mock.calls.length]).toEqual([CONNECTIONS_OF_INSTANCE, 5]));
  for (const socket of many) socket.destroy();
});

it("rests from one that knocks while it has all that it may have", async () => {
  doors.set("i-1", view(), "robot since 1");
  const held = Array.from({ length: CONNECTIONS_OF_INSTANCE }, () => guest());
  for (const socket of held) socket.resume().write("x");
  await vi.waitUntil(() => reached.length === CONNECTIONS_OF_INSTANCE);
  for (let n = 0; n < 60; n += 1) await again();
  await vi.waitUntil(() => !files().includes("api.sock"));
  expect(held.map((socket) => socket.readableEnded)).not.toContain(true);
  for (const socket of held) socket.destroy();
});

it("rests from an instance that connects too often, and from no other", async () => {
  doors.set("i-1", view(), "robot since 1");
  doors.set("i-2", view("i-2"), "robot since 1");
  for (let n = 0; n < 60; n += 1) await again();
  await vi.waitUntil(() => !files().includes("api.sock"));
  const other = guest("i-2");
  other.end("hello");
  expect(await text(other)).toBe("hello");
  await vi.waitUntil(() => files().includes("api.sock"), { timeout: 5_000 });
  const socket = guest();
  socket.end("hello");
  expect(await text(socket)).toBe("hello");
  expect(failures).toEqual([]);
});

it("says that it was not told where the API is, and is there for those who want nothing of it", () => {
  const blind = new ApiDoors({ endpoint: undefined, tokens: { keep: vi.fn(), drop: vi.fn() }, roots: () => "", failed: vi.fn() });
  expect(() => blind.set("i-1", view(), "robot since 1")).toThrow("--api-endpoint");
  blind.set("i-1", view(), "");
  expect(files()).toEqual([]);
});
