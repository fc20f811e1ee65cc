import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { repositoryFiles, root } from "../rules/repository.ts";
import { brokenClaim, guideBlocks } from "./support/guide.ts";
import { launch, plainEnvironment } from "./support/launcher.ts";
import type { Launcher } from "./support/launcher.ts";
import { run } from "./support/run.ts";

// Guides that lie cost a reader's trust at once: each is typed, block by block in one shell, against a `plenum up` of our own, and must
// print what it says.

let dataDir: string;
let up: Launcher;

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), "plenum-g-"));
  up = launch("cli/main.ts", ["up", "--data-dir", dataDir, "--port", "0"]);
  await up.says(/Plenum runs/);
});
afterAll(async () => {
  up?.signal("SIGTERM");
  await up?.ended;
  // What a guide left half-way has the run's name, and so is gone with the run; only the data stay.
  await run("rm", ["-rf", dataDir]);
});

/** A minute on two processors; more where others use them. */
const LIMIT_MS = 240_000;
/** A page of tables (limits.md) has nothing to type. */
const guides = repositoryFiles("docs/guides/*.md").filter((page) => guideBlocks(readFileSync(join(root, page), "utf8")).length > 0);

describe("the claims of a guide", () => {
  it("are broken by output that does not hold them", () => {
    const page = "```sh\nping\n```\n\n```output\n3 received, …\nends\n```\n";
    const [block] = guideBlocks(page);
    expect(block).toMatchObject({ commands: "ping\n", claims: ["3 received, …", "ends"], line: 2 });
    expect(brokenClaim(block!.claims, "PING\n3 received,  0% loss\nit ends\n")).toBeUndefined();
    expect(brokenClaim(block!.claims, "2 received, 33% loss\nends\n")).toBe("3 received, …");
    expect(brokenClaim(block!.claims, "ends\n3 received, 0% loss\n")).toBe("ends");
  });
});

it.each(guides)(
  "%s does what it says",
  async (page) => {
    const blocks = guideBlocks(readFileSync(join(root, page), "utf8"));
    expect(blocks.length).toBeGreaterThan(2);
    const mark = `=== ${process.pid} block`;
    const script = [
      "set -euo pipefail",
      "exec 2>&1",
      ...blocks.map(({ commands }, index) => `echo '${mark} ${index}'\n${commands}`),
      "echo",
    ];
    const env = { ...plainEnvironment(), PLENUM_DATA_DIR: dataDir };
    const { code, stdout } = await run("bash", ["-c", script.join("\n")], { env, cwd: root, timeoutMs: LIMIT_MS });
    const parts = stdout.split(new RegExp(`^${mark} \\d+\n`, "m")).slice(1);
    const reached = blocks[parts.length - 1];
    expect(code, `${page}:${reached?.line}: ended with ${code} after printing:\n${parts.at(-1)}`).toBe(0);
    for (const [index, block] of blocks.entries()) {
      const broken = brokenClaim(block.claims, parts[index] ?? "");
      expect(broken, `${page}:${block.line}: not printed: ${broken}\nprinted was:\n${parts[index]}`).toBeUndefined();
    }
  },
  LIMIT_MS + 10_000,
);
