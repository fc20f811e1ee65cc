/** What telemetry.test.ts runs in a process of its own: one call from a client to a server, which logs and publishes. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TokenServiceDefinition } from "#gen/plenum/identity/v1/token.ts";
import { openTokenIssuer } from "../auth/token.ts";
import { withTrace } from "../bus/trace.ts";
import { createLog, silentLog } from "../log/log.ts";
import { bind, createChannelAndClient, startServer } from "../rpc/rpc.ts";
import { createShutdown } from "../shutdown/shutdown.ts";

const shutdown = createShutdown(silentLog());
const directory = await mkdtemp(join(tmpdir(), "plenum-traced-"));
shutdown.add("directory", () => rm(directory, { recursive: true, force: true }));
let line = "";
const log = createLog({ name: "traced", destination: { write: (text) => void (line = text) } });
let traceparent: string | undefined;
const tokens = await openTokenIssuer(directory);
const server = await startServer({
  listeners: [{ address: "127.0.0.1:0" }],
  verifier: tokens,
  log,
  services: [
    bind(TokenServiceDefinition, {
      issueToken: () => Promise.resolve({}),
      whoAmI() {
        log.info("called");
        traceparent = withTrace({})["traceparent"];
        return Promise.resolve({});
      },
    }),
  ],
});
shutdown.add("server", () => server.stop());
const { token } = await tokens.issue({ principalId: "op", accountId: "", roles: ["operator"] });
const { client, close } = createChannelAndClient(TokenServiceDefinition, { address: server.addresses[0] ?? "", token });
await client.whoAmI({});
close();
await shutdown.run("done");
process.stdout.write(JSON.stringify({ logTraceId: (JSON.parse(line) as { trace_id: string }).trace_id, busTraceparent: traceparent }));
