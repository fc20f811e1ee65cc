import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { TokenServiceDefinition, WhoAmIResponse } from "#gen/plenum/identity/v1/token.ts";
import { OperationServiceDefinition } from "#gen/plenum/operation/v1/operation.ts";
import type { Refusal } from "../audit/refusal-tally.ts";
import { createRegistry, throttleMetrics } from "../metrics/metrics.ts";
import { silentLog } from "../log/log.ts";
import type { Caller } from "./caller.ts";
import { bind, callFailure, createThrottle, openChannel, startServer } from "./rpc.ts";
import type { RpcChannel, RpcServer } from "./rpc.ts";

const callers: Readonly<Record<string, Caller>> = {
  alice: { kind: "account", principalId: "alice", accountId: "acct-1", roles: ["owner"] },
  wendy: { kind: "account", principalId: "wendy", accountId: "acct-2", roles: ["owner"] },
  bob: { kind: "account", principalId: "bob", accountId: "acct-1", roles: ["owner"] },
};
/** Ends of calls that wait. */
const release: (() => void)[] = [];
const noted: Refusal[] = [];
const registry = createRegistry();
let now = 0;
let server: RpcServer;
const channels: RpcChannel[] = [];

beforeAll(async () => {
  const service = bind(TokenServiceDefinition, {
    whoAmI: () => Promise.resolve(WhoAmIResponse.fromPartial({})),
    issueToken: () => Promise.resolve({ token: "", expireTime: undefined }),
  });
  const operations = bind(OperationServiceDefinition, {
    waitOperation: async () => {
      await new Promise<void>((resolve) => release.push(resolve));
      return { operation: undefined };
    },
    getOperation: () => Promise.resolve({ operation: undefined }),
    listOperations: () => Promise.resolve({ operations: [], nextPageToken: "" }),
  });
  const throttle = createThrottle({
    known: { perSecond: 10, burst: 5 },
    unknown: { perSecond: 2, burst: 2 },
    account: { perSecond: 100, burst: 100 },
    waitingCalls: 2,
    now: () => now,
    refused: throttleMetrics(registry),
  });
  const verify = (token: string) => {
    const caller = callers[token];
    return caller === undefined ? Promise.reject(new Error("no")) : Promise.resolve(caller);
  };
  server = await startServer({
    listeners: [{ address: "127.0.0.1:0" }],
    services: [service, operations],
    refused: (refusal) => noted.push(refusal),
    log: silentLog(),
    verifier: { verify },
    throttle,
  });
});
afterAll(async () => {
  channels.forEach((channel) => channel.close());
  await server?.stop(0);
});

const call = async (token: string): Promise<string> => {
  const channel = openChannel({ address: server.addresses[0] ?? "", token });
  channels.push(channel);
  const answers = await Promise.allSettled([channel.client(TokenServiceDefinition).whoAmI({})]);
  const [answer] = answers;
  if (answer?.status !== "rejected") return "OK";
  const failure = callFailure(answer.reason);
  return failure?.reason === "RATE_LIMITED"
    ? `${failure.status} ${failure.facts["limit"]} ${failure.facts["retry_after_ms"]}`
    : (failure?.reason ?? "");
};

// B9: how often one caller calls, and how many of an account wait.

describe("calls that wait", () => {
  it("take a place each until they end, and the next is told so at once", async () => {
    const channel = openChannel({ address: server.addresses[0] ?? "", token: "wendy" });
    channels.push(channel);
    const operations = channel.client(OperationServiceDefinition);
    const wait = (seconds: bigint) => operations.waitOperation({ operationId: "op", timeout: { seconds, nanos: 0 } });
    const waiting = [wait(9n), wait(9n)];
    await vi.waitFor(() => expect(release).toHaveLength(2));
    const refused = await wait(9n).catch(callFailure);
    expect(refused).toMatchObject({ status: "RESOURCE_EXHAUSTED", reason: "TOO_MANY_WAITING", facts: { limit: "2" } });
    expect(noted.at(-1)).toMatchObject({ reason: "TOO_MANY_WAITING", caller: { principalId: "wendy" } });
    const atOnce = wait(0n);
    await vi.waitFor(() => expect(release).toHaveLength(3));
    for (const end of release.splice(0)) end();
    await Promise.all([...waiting, atOnce]);
    now += 1_000;
    const again = [wait(9n), wait(9n)];
    await vi.waitFor(() => expect(release).toHaveLength(2));
    for (const end of release.splice(0)) end();
    await Promise.all(again);
  });
});

describe("a caller that calls too often", () => {
  it("is told when to come again, while others are served", async () => {
    const outcomes: string[] = [];
    for (let index = 0; index < 7; index += 1) outcomes.push(await call("alice"));
    expect(outcomes).toEqual([...Array.from({ length: 5 }, () => "OK"), "RESOURCE_EXHAUSTED 10 100", "RESOURCE_EXHAUSTED 10 100"]);
    expect(await call("bob")).toBe("OK");
    now += 100;
    expect(await call("alice")).toBe("OK");
  });

  it("without a valid token counts together with its like, and shuts nobody out", async () => {
    expect([await call("guess-1"), await call("guess-2"), await call("guess-3")]).toEqual([
      "NO_VALID_TOKEN",
      "NO_VALID_TOKEN",
      "RESOURCE_EXHAUSTED 2 500",
    ]);
    expect(await call("bob")).toBe("OK");
  });

  it("is counted", async () => {
    const text = await registry.getSingleMetricAsString("plenum_rpc_throttled_calls_total");
    expect(text).toContain('plenum_rpc_throttled_calls_total{caller="account",bound="principal"} 2');
    expect(text).toContain('plenum_rpc_throttled_calls_total{caller="anonymous",bound="unknown"} 1');
  });
});
