import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TokenServiceDefinition, WhoAmIResponse } from "#gen/plenum/identity/v1/token.ts";
import { createRegistry, throttleMetrics } from "../metrics/metrics.ts";
import { silentLog } from "../log/log.ts";
import type { Caller } from "./caller.ts";
import { bind, callFailure, createThrottle, openChannel, startServer } from "./rpc.ts";
import type { RpcChannel, RpcServer } from "./rpc.ts";

const callers: Readonly<Record<string, Caller>> = {
  alice: { kind: "account", principalId: "alice", accountId: "acct-1", roles: ["owner"] },
  bob: { kind: "account", principalId: "bob", accountId: "acct-1", roles: ["owner"] },
};
const registry = createRegistry();
let now = 0;
let server: RpcServer;
const channels: RpcChannel[] = [];

beforeAll(async () => {
  const service = bind(TokenServiceDefinition, {
    whoAmI: () => Promise.resolve(WhoAmIResponse.fromPartial({})),
    issueToken: () => Promise.resolve({ token: "", expireTime: undefined }),
  });
  const throttle = createThrottle({
    known: { perSecond: 10, burst: 5 },
    unknown: { perSecond: 2, burst: 2 },
    now: () => now,
    refused: throttleMetrics(registry),
  });
  const verify = (token: string) => {
    const caller = callers[token];
    return caller === undefined ? Promise.reject(new Error("no")) : Promise.resolve(caller);
  };
  server = await startServer({
    listeners: [{ address: "127.0.0.1:0" }],
    services: [service],
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
    expect(text).toContain('plenum_rpc_throttled_calls_total{caller="account"} 2');
    expect(text).toContain('plenum_rpc_throttled_calls_total{caller="anonymous"} 1');
  });
});
