import { rmSync } from "node:fs";
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
  // A run that is interrupted stops nothing itself: the server dies with us, and its files go here.
  const onExit = (): void => rmSync(dataDir, { recursive: true, force: true });
  process.once("exit", onExit);
  try {
    const server = await startPostgres({ dataDir, log: silentLog() });
    return {
      url: server.url,
      dataDir,
      async stop() {
        process.off("exit", onExit);
        await server.stop();
        await rm(dataDir, { recursive: true, force: true });
      },
    };
  } catch (error) {
    process.off("exit", onExit);
    await rm(dataDir, { recursive: true, force: true });
    throw error;
  }
}
