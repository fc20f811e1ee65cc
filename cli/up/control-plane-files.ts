import { rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openCertificateAuthority } from "#lib/auth/ca.ts";
import { openTokenIssuer } from "#lib/auth/token.ts";
import { doorsOfEnvironment } from "../serve/doors.ts";
import type { ControlPlaneConfig } from "./control-plane-config.ts";
import { CONTROL_PLANE_ADDRESS, INTERNAL_ENDPOINT } from "./layout.ts";
import type { Layout } from "./layout.ts";

/** Takes the configuration's file as its argument. */
export const CONTROL_PLANE_SCRIPT = [fileURLToPath(new URL("./control-plane.ts", import.meta.url))] as const;

/** The longest that a token may live. */
const OPERATOR_TOKEN_S = 90 * 86_400;

/** Writes what the control plane and its clients need into the data directory: its configuration, the root certificate, an operator's token. */
export async function prepareControlPlane(plan: Layout): Promise<{ ca: string; token: string }> {
  const { dataDir, caFile, tokenFile, apiSocket, metricsSocket, secretsDir } = plan;
  const { ca } = await openCertificateAuthority(secretsDir);
  const tokens = await openTokenIssuer(secretsDir);
  const { token } = await tokens.issue({ principalId: "plenum-up", accountId: "", roles: ["operator"], ttlSeconds: OPERATOR_TOKEN_S });
  writeFileSync(caFile, ca, { mode: 0o644 });
  rmSync(tokenFile, { force: true }); // its mode must be ours even if it was there
  writeFileSync(tokenFile, `${token}\n`, { mode: 0o600 });
  const config: ControlPlaneConfig = {
    dataDir,
    secretsDir,
    apiSocket,
    metricsSocket,
    internal: INTERNAL_ENDPOINT,
    serverNames: ["localhost", "127.0.0.1", CONTROL_PLANE_ADDRESS],
    doors: doorsOfEnvironment(),
  };
  writeFileSync(plan.controlPlaneConfig, JSON.stringify(config, null, 2));
  return { ca, token };
}
