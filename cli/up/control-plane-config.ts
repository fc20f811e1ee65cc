import { z } from "zod";

/** What the launcher tells the control-plane process. Nothing of it is secret. */
export const controlPlaneConfig = z.object({
  dataDir: z.string(),
  /** Certificate authority and token key. */
  secretsDir: z.string(),
  apiSocket: z.string(),
  metricsSocket: z.string(),
  /** "host:port" for hosts. */
  internal: z.string(),
  /** In the servers' certificates. */
  serverNames: z.array(z.string()),
  /** Who is let in, and how often: DOOR_CONFIG as the launcher was given it. */
  doors: z.object({
    oidcFile: z.string().optional(),
    callsPerSecond: z.number(),
    accountItemsPerSecond: z.number(),
    accountWaitingCalls: z.number(),
    unknownCallsPerSecond: z.number(),
  }),
});
export type ControlPlaneConfig = z.infer<typeof controlPlaneConfig>;
