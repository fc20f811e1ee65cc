import { Client, credentials, Metadata, status } from "@grpc/grpc-js";
import type { ServiceError } from "@grpc/grpc-js";
import type { DescMethod } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, it } from "vitest";
import { newId } from "#lib/ids/ids.ts";
import { hostUri } from "#lib/rpc/caller.ts";
import { methods } from "./support/contract.ts";
import { makeAccount, makeEstate } from "./support/estate.ts";
import { startInstallation } from "./support/installation.ts";
import type { Installation } from "./support/installation.ts";
import { RandomMessages, seeded } from "./support/random-message.ts";

// Random messages over every RPC: whatever comes in, the answer is one that the contract knows, and the processes live.

const MESSAGES = Number(process.env["PLENUM_FUZZ_MESSAGES"] ?? 20_000);
const SEED = Number(process.env["PLENUM_FUZZ_SEED"] ?? 1);
const IN_FLIGHT = 48;
/** Far above what a call may take: who runs into it hangs. */
const DEADLINE_MS = 30_000;

let installation: Installation;
let random: RandomMessages;
/** Who calls; some more often than others. */
let callers: { client: Client; metadata: Metadata }[];

beforeAll(async () => {
  installation = await startInstallation();
  const token = (role: "operator" | "owner" | "viewer", accountId = "") =>
    installation.token({ role, accountId, principalId: `fuzz of ${role}` });
  const operator = installation.channel({ token: await token("operator") });
  const [a, b] = [await makeAccount(operator, "a"), await makeAccount(operator, "b")];
  const estates = [];
  for (const [own, grantee] of [
    [a, b],
    [b, a],
  ] as const) {
    estates.push(await makeEstate(installation.channel({ token: await token("owner", own) }), own, grantee));
  }
  random = new RandomMessages(seeded(SEED));
  random.learn(Buffer.from(JSON.stringify(estates, (_key, value: unknown) => (typeof value === "bigint" ? String(value) : value))));
  const tls = credentials.createSsl(Buffer.from(installation.ca));
  const options = { "grpc.ssl_target_name_override": "localhost", "grpc.use_local_subchannel_pool": 1 };
  const open = new Client(installation.address, tls, options);
  const host = await installation.certificate(hostUri(newId("host")));
  const certified = credentials.createSsl(Buffer.from(installation.ca), Buffer.from(host.key), Buffer.from(host.cert));
  const withToken = (value: string): { client: Client; metadata: Metadata } => {
    const metadata = new Metadata();
    metadata.set("authorization", `Bearer ${value}`);
    return { client: open, metadata };
  };
  const operators = withToken(await token("operator"));
  const owners = [withToken(await token("owner", a)), withToken(await token("owner", b))];
  callers = [
    operators,
    operators,
    operators,
    ...owners,
    ...owners,
    withToken(await token("viewer", a)),
    { client: new Client(installation.address, certified, options), metadata: new Metadata() },
    { client: open, metadata: new Metadata() },
  ];
});
afterAll(async () => {
  for (const { client } of callers ?? []) client.close();
  await installation?.stop();
});

const asIs = (bytes: Buffer): Buffer => bytes;

/** One call; the code of its answer. */
function call(method: DescMethod): Promise<{ code: number; details: string }> {
  const { client, metadata } = random.pick(callers);
  const path = `/${method.parent.typeName}/${method.name}`;
  const deadline = Date.now() + DEADLINE_MS;
  const many = method.methodKind === "bidi_streaming" || method.methodKind === "client_streaming";
  const requests = Array.from({ length: many ? random.pick([1, 2, 3]) : 1 }, () => Buffer.from(random.request(method.input)));
  return new Promise((resolve) => {
    const end = (error: ServiceError | null): void => resolve({ code: error?.code ?? status.OK, details: error?.details ?? "" });
    if (method.methodKind === "unary") {
      client.makeUnaryRequest(path, asIs, asIs, requests[0] ?? Buffer.alloc(0), metadata, { deadline }, (error, answer) => {
        if (answer !== undefined) random.learn(answer);
        end(error);
      });
      return;
    }
    const stream = client.makeBidiStreamRequest(path, asIs, asIs, metadata, { deadline });
    stream.on("data", () => {
      end(null);
      stream.cancel();
    });
    stream.on("error", (error: ServiceError) => end(error));
    stream.on("end", () => end(null));
    for (const request of requests) stream.write(request);
    stream.end();
  });
}

it(
  `${MESSAGES} random messages over every RPC bring only answers that the contract knows`,
  async () => {
    const wrong = new Set([
      status.UNKNOWN,
      status.INTERNAL,
      status.DATA_LOSS,
      status.UNAVAILABLE,
      status.UNIMPLEMENTED,
      status.DEADLINE_EXCEEDED,
    ]);
    const all = [...methods.values()];
    const codes = new Map<string, number>();
    const reached = new Set<string>();
    const failures: string[] = [];
    let sent = 0;
    const start = performance.now();
    const worker = async (): Promise<void> => {
      while (sent < MESSAGES) {
        const method = all[sent % all.length];
        if (method === undefined) throw new Error("there are no RPCs");
        sent += 1;
        const { code, details } = await call(method);
        const name = status[code] ?? String(code);
        codes.set(name, (codes.get(name) ?? 0) + 1);
        if (code === status.OK) reached.add(method.name);
        if (wrong.has(code) && failures.length < 20) failures.push(`${method.parent.name}/${method.name}: ${name} ${details}`);
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
    const seconds = (performance.now() - start) / 1_000;
    process.stdout.write(
      `fuzz: seed ${SEED}, ${sent} messages in ${seconds.toFixed(1)} s, ${all.length} RPCs, ${reached.size} of them answered OK; ` +
        `${[...codes]
          .toSorted(([, x], [, y]) => y - x)
          .map(([name, count]) => `${name} ${count}`)
          .join(", ")}\n`,
    );
    expect(failures).toEqual([]);
    // Otherwise it would prove little: the messages get past the doors, and far into most of the RPCs.
    expect(codes.get("OK") ?? 0).toBeGreaterThan(MESSAGES / 20);
    expect(reached.size).toBeGreaterThan(all.length * 0.6);
  },
  20_000 + MESSAGES * 10,
);
