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
});
export type ControlPlaneConfig = z.infer<typeof controlPlaneConfig>;
