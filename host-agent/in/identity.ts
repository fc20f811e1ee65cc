import { X509Certificate } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { createHostRequest } from "#lib/auth/ca.ts";
import { replaceFile, writeFileOnce } from "#lib/process/files.ts";

const identitySchema = z.object({
  hostId: z.string().min(1),
  zoneId: z.string(),
  /** PEM. */
  certificate: z.string(),
  key: z.string(),
  /** PEM of every root to trust. */
  caBundle: z.string(),
});

/** Who this host is, as the coordinator signed it. */
export type HostIdentity = z.infer<typeof identitySchema>;

const keySchema = z.object({ csr: z.string(), key: z.string() });

/** A key of the host's own (PEM) and a request for a certificate for it (PEM). */
export type HostKey = z.infer<typeof keySchema>;

/** The host's identity on disk. Key and certificate lie in one file, so that a crash cannot leave one without the other. Mode 0600. */
export class IdentityStore {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Undefined before the first join. @throws if the file is there and is none of ours */
  async load(): Promise<HostIdentity | undefined> {
    const text = await readIfThere(this.#path("identity.json"));
    return text === undefined ? undefined : identitySchema.parse(JSON.parse(text));
  }

  async save(identity: HostIdentity): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    await replaceFile(this.#path("identity.json"), JSON.stringify(identity), 0o600);
  }

  /**
   * The key to join with (C8). A host that has joined has its key of then or of a renewal, and is known by it. Before, it is the same
   * until the end of the directory, so that a join whose answer was lost can be repeated.
   */
  async joinKey(): Promise<HostKey> {
    const identity = await this.load();
    if (identity !== undefined) return createHostRequest(identity.key);
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const path = this.#path("join-key.json");
    const present = await readIfThere(path);
    if (present !== undefined) return keySchema.parse(JSON.parse(present));
    await writeFileOnce(path, JSON.stringify(await createHostRequest()), 0o600);
    return keySchema.parse(JSON.parse(await readFile(path, "utf8")));
  }

  /**
   * The key to renew `current` with: the same until it is the host's. Of a renewal whose answer was lost the coordinator knows that key
   * already; with another one at the next try it would forget the key that the host still has.
   */
  async renewalKey(current: HostIdentity): Promise<HostKey> {
    const path = this.#path("renewal-key.json");
    const present = await readIfThere(path);
    const kept = present === undefined ? undefined : keySchema.parse(JSON.parse(present));
    if (kept !== undefined && kept.key !== current.key) return kept;
    const made = await createHostRequest();
    await replaceFile(path, JSON.stringify(made), 0o600);
    return made;
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }
}

/** From when to when a PEM certificate is valid, milliseconds since 1970. */
export function validity(pem: string): { from: number; to: number } {
  const certificate = new X509Certificate(pem);
  return { from: certificate.validFromDate.getTime(), to: certificate.validToDate.getTime() };
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
