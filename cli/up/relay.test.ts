import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, expect, it } from "vitest";
import { CliError } from "../cli-error.ts";
import { startRelay } from "./relay.ts";

const dir = mkdtempSync(join(tmpdir(), "plenum-relay-"));
afterAll(() => rmSync(dir, { recursive: true }));

const echo = (path: string) =>
  new Promise<ReturnType<typeof createServer>>((resolve) => {
    const server = createServer({ allowHalfOpen: true }, (socket) => void socket.pipe(socket));
    server.listen(path, () => resolve(server));
  });

it("carries bytes both ways, and ends one side with the other", async () => {
  const server = await echo(join(dir, "a.sock"));
  const relay = await startRelay(0, join(dir, "a.sock"));
  const client = connect(relay.port, "127.0.0.1");
  client.end("x".repeat(100_000));
  expect((await text(client)).length).toBe(100_000);
  await relay.close();
  server.close();
});

it("breaks the connection when nobody is behind it", async () => {
  const relay = await startRelay(0, join(dir, "nobody.sock"));
  const client = connect(relay.port, "127.0.0.1");
  await expect(new Promise((resolve) => client.on("close", () => resolve("closed")).on("error", () => undefined))).resolves.toBe("closed");
  await relay.close();
});

it("says that the port is taken", async () => {
  const relay = await startRelay(0, join(dir, "b.sock"));
  await expect(startRelay(relay.port, join(dir, "b.sock"))).rejects.toThrow(CliError);
  await relay.close();
});
