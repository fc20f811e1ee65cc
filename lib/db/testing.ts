import { mkdtemp, chmod, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog } from "../log/log.ts";
import { startPostgres } from "./embedded.ts";

export interface TestPostgres {
  readonly url: string;
  readonly dataDir: string;
  stop(): Promise<void>;
}

/** A directory of its own that the unprivileged account can walk into; remove it yourself. */
export async function testDirectory(name: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), `plenum-${name}-`));
  await chmod(directory, 0o755);
  return directory;
}

/** A real PostgreSQL in a directory of its own, for one test file. `stop` removes all of it. */
export async function startTestPostgres(): Promise<TestPostgres> {
  const dataDir = await testDirectory("pg");
  try {
    const server = await startPostgres({ dataDir, log: silentLog() });
    return {
      url: server.url,
      dataDir,
      async stop() {
        await server.stop();
        await rm(dataDir, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await rm(dataDir, { recursive: true, force: true });
    throw error;
  }
}
