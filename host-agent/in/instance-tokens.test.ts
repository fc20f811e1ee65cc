import { ClientError, Status } from "nice-grpc-common";
import { ErrorInfo, RichClientError } from "nice-grpc-error-details";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { silentLog } from "#lib/log/log.ts";
import { InstanceTokens } from "./instance-tokens.ts";

interface Wait {
  readonly milliseconds: number;
  end(): void;
}

// Its waits between two tokens are counted, not slept; the spacing of all questions is passed over.
vi.mock("node:timers/promises", () => ({
  setTimeout: (milliseconds: number, _value: unknown, { signal }: { signal?: AbortSignal }) =>
    signal === undefined ? Promise.resolve() : sleep(milliseconds, signal),
}));

const LIFE_MS = 300_000;
const PATH = "/plenum.host.v1.HostFeedService/IssueInstanceToken";

let waits: Wait[];
let asked: string[];
let held: (string | undefined)[];
let answer: (instanceId: string) => Promise<{ token: string; expireTime: Date | undefined }>;
let tokens: InstanceTokens;
const put = (token: string | undefined): void => void held.push(token);

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error));
    waits.push({ milliseconds, end: resolve });
  });
}

beforeEach(() => {
  [asked, held, waits] = [[], [], []];
  answer = (instanceId) => Promise.resolve({ token: `${instanceId} ${asked.length}`, expireTime: new Date(Date.now() + LIFE_MS) });
  const issue = (instanceId: string) => {
    asked.push(instanceId);
    return answer(instanceId);
  };
  tokens = new InstanceTokens({ issue, log: silentLog(), random: () => 1 });
});
afterEach(() => tokens.drop("i-1"));

/** Until it sleeps for the nth time; how long it means to. */
async function slept(n: number): Promise<number> {
  await vi.waitUntil(() => waits.length >= n);
  return waits[n - 1]!.milliseconds;
}

/** It goes on after its nth sleep, to the next; how long it means that one to be. */
async function next(n: number): Promise<number> {
  waits[n - 1]!.end();
  return slept(n + 1);
}

const refusal = (code: Status, reason: string): Error =>
  new RichClientError(PATH, code, "no", [{ ...ErrorInfo.fromPartial({ reason, domain: "plenum" }), $type: ErrorInfo.$type }]);

it("asks at once, and again at half of the token's life, however wrong this host's clock is", async () => {
  tokens.keep("i-1", put);
  const first = await slept(1);
  expect(first).toBeLessThanOrEqual(LIFE_MS / 2);
  expect(first).toBeGreaterThan(LIFE_MS / 2 - 5_000);
  answer = () => Promise.resolve({ token: "behind", expireTime: new Date(0) });
  expect(await next(1)).toBe(10_000);
  answer = () => Promise.resolve({ token: "ahead", expireTime: new Date(Date.now() + 100 * LIFE_MS) });
  expect(await next(2)).toBe(LIFE_MS / 2);
  expect(held).toEqual(["i-1 1", "behind", "ahead"]);
});

it("keeps a token while the coordinator is away, and asks later and later", async () => {
  tokens.keep("i-1", put);
  await slept(1);
  answer = () => Promise.reject(new ClientError(PATH, Status.UNAVAILABLE, "nobody there"));
  for (const [n, wait] of [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000].entries()) {
    expect(await next(n + 1)).toBe(wait);
  }
  expect(held).toEqual(["i-1 1"]);
});

it("takes a token away that the coordinator gives no more, but not for what is no word about it", async () => {
  tokens.keep("i-1", put);
  await slept(1);
  answer = () => Promise.reject(refusal(Status.RESOURCE_EXHAUSTED, "RATE_LIMITED"));
  await next(1);
  answer = () => Promise.reject(new ClientError(PATH, Status.UNIMPLEMENTED, "an older coordinator"));
  await next(2);
  expect(held).toEqual(["i-1 1"]);
  answer = () => Promise.reject(refusal(Status.FAILED_PRECONDITION, "PRINCIPAL_DISABLED"));
  await next(3);
  expect(held).toEqual(["i-1 1", undefined]);
});

it("tries again when a token cannot be put where it belongs", async () => {
  let full = true;
  tokens.keep("i-1", (token) => {
    if (full) throw new Error("ENOSPC");
    put(token);
  });
  expect(await slept(1)).toBe(200);
  full = false;
  await next(1);
  expect(held).toEqual(["i-1 2"]);
});

it("gives nothing after it was dropped, also not what was asked for before", async () => {
  const late = Promise.withResolvers<{ token: string; expireTime: Date }>();
  answer = () => late.promise;
  tokens.keep("i-1", put);
  await vi.waitUntil(() => asked.length === 1);
  tokens.drop("i-1");
  late.resolve({ token: "late", expireTime: new Date() });
  await new Promise((resolve) => setImmediate(resolve));
  expect(held).toEqual([]);
  expect(waits).toEqual([]);
});

it("begins anew when it is told again: one round for each instance", async () => {
  tokens.keep("i-1", put);
  await slept(1);
  tokens.keep("i-1", put);
  await slept(2);
  waits[0]!.end();
  await new Promise((resolve) => setImmediate(resolve));
  expect(asked).toEqual(["i-1", "i-1"]);
});
