import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../rules/repository.ts";
import { install, makeNetwork, runGuest } from "./support/installation.ts";
import type { Clients, Installation } from "./support/installation.ts";
import { run } from "./support/run.ts";
import { ping } from "./support/traffic.ts";

// Row M7: the same contract for clients that share nothing with us: buf curl through reflection, and generated Python.

let at: Installation;
let owner: { accountId: string; token: string; clients: Clients };
let dir: string;
let tokenFile: string;

const bin = join(root, "node_modules/.bin");
const env = { ...process.env, PATH: `${bin}:${process.env["PATH"]}` };

beforeAll(async () => {
  at = await install();
  owner = await at.account();
  dir = mkdtempSync(join(tmpdir(), "plenum-clients-"));
  tokenFile = join(dir, "token");
  writeFileSync(tokenFile, owner.token, { mode: 0o600 });
}, 180_000);
afterAll(async () => {
  await at?.stop();
  if (dir !== undefined) rmSync(dir, { recursive: true, force: true });
});

/** `buf curl` by reflection of the given version; no schema is given to it. */
function curl(reflection: string, method: string, body: unknown, token = owner.token) {
  const bearer = (value: string) => `authorization: Bearer ${value}`;
  const args = ["curl", "--protocol", "grpc", "--cacert", at.cluster.caPath, "--reflect", "--reflect-protocol", reflection];
  args.push(
    "--reflect-header",
    bearer(owner.token),
    "-H",
    bearer(token),
    "-d",
    JSON.stringify(body),
    `https://${at.cluster.endpoint}/${method}`,
  );
  return run(join(bin, "buf"), args, { env, cwd: dir });
}

describe.each(["grpc-v1", "grpc-v1alpha"])("buf curl through reflection %s", (reflection) => {
  it("creates and attaches an interface", async () => {
    const call = async (method: string, body: unknown) => {
      const outcome = await curl(reflection, method, body);
      expect(outcome, outcome.stderr).toMatchObject({ code: 0 });
      return JSON.parse(outcome.stdout) as Record<string, Record<string, string>>;
    };
    const network = await makeNetwork(owner.clients);
    const guest = await runGuest(at, owner, network, { host: 0 });
    const peer = await runGuest(at, owner, network, { host: 1 });
    const spec = { subnetId: network.subnetId, securityGroupIds: [network.openGroupId] };
    const made = await call("plenum.nivc.v1.InterfaceService/CreateInterface", { spec });
    expect(made["interface"]!["interfaceId"]).toMatch(/^eni-[0-9a-f]{32}$/);
    const attached = await call("plenum.nivc.v1.InterfaceService/AttachInterface", {
      spec: { interfaceId: made["interface"]!["interfaceId"], instanceId: guest.instanceId },
      wait: "WAIT_FOR_REACHABLE",
    });
    expect(attached["attachment"]).toMatchObject({ state: "ATTACHMENT_STATE_ATTACHED", deviceIndex: 1 });
    expect((await ping(peer.netns, made["interface"]!["privateAddresses"]![0]!)).received).toBe(5);
  });

  it("is refused without a token that we issued", async () => {
    const outcome = await curl(reflection, "plenum.network.v1.VpcService/ListVpcs", {}, "not-a-token");
    expect(outcome.code).not.toBe(0);
    expect(outcome.stderr).toMatch(/unauthenticated/i);
  });
});

it("serves a Python client generated from proto/", async () => {
  const generated = join(dir, "python");
  const made = await run(join(bin, "buf"), ["generate", "--template", "test/clients/buf.gen.python.yaml", "-o", generated], {
    env,
    cwd: root,
  });
  expect(made, made.stderr).toMatchObject({ code: 0 });
  const script = join(root, "test/clients/create_and_attach.py");
  const outcome = await run("/usr/bin/python3", [script, generated, at.cluster.endpoint, at.cluster.caPath, tokenFile, owner.accountId], {
    timeoutMs: 60_000,
  });
  expect(outcome, outcome.stderr).toMatchObject({ code: 0 });
  expect(JSON.parse(outcome.stdout)).toEqual({
    operation: "OPERATION_STATE_SUCCEEDED",
    address: [expect.stringMatching(/^10\.60\.1\./)],
    state: "ATTACHMENT_STATE_ATTACHED",
    device_index: 1,
    again: "FAILED_PRECONDITION",
  });
});
