import { chmodSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { root } from "../rules/repository.ts";
import { launch, plainEnvironment } from "./support/launcher.ts";
import type { Launcher } from "./support/launcher.ts";
import { run } from "./support/run.ts";
import { registrationOf, tracesOf } from "./support/traces.ts";

// `npm run demo` from its launcher on: what it claims holds, and whatever becomes of it, the machine is afterwards as it was before.

interface Demo extends Launcher {
  /** All its files are below it: whatever of it stays has this in its name, or the name of its run. */
  place: string;
}

const demos: Demo[] = [];
afterEach(async () => {
  for (const demo of demos.splice(0)) {
    demo.signal("SIGTERM");
    await demo.ended;
    for (const name of readdirSync(demo.place)) await plenum("down", "--data-dir", join(demo.place, name));
    rmSync(demo.place, { recursive: true, force: true });
  }
});

function startDemo(): Demo {
  const place = mkdtempSync(join(tmpdir(), "plenum-d-"));
  chmodSync(place, 0o755); // PostgreSQL runs as another account below it
  const demo = Object.assign(launch("cli/demo/main.ts", [], { TMPDIR: place }), { place });
  demos.push(demo);
  return demo;
}

const plenum = (...args: string[]) =>
  run(process.execPath, [join(root, "cli/main.ts"), ...args], { env: plainEnvironment(), timeoutMs: 60_000 });

const nothing = { traces: [], files: [] };
const left = (demo: Demo, ...words: string[]) => ({ traces: tracesOf(demo.place, ...words), files: filesBelow(demo.place) });
const filesBelow = (directory: string) => readdirSync(directory, { recursive: true, encoding: "utf8" });

describe("the demo", () => {
  it("proves its claims, two at the same time, and leaves nothing", async () => {
    const both = [startDemo(), startDemo()];
    const runs = await Promise.all(both.map((demo) => registrationOf(demo).then((record) => record.run)));
    expect(new Set(runs).size).toBe(2);
    await Promise.all(both.map((demo) => demo.says(/first replies/)));
    for (const [i, demo] of both.entries()) expect(tracesOf(demo.place, runs[i]!).length).toBeGreaterThan(10); // we would see them
    for (const [i, demo] of both.entries()) {
      expect(await demo.ended, demo.output).toEqual({ code: 0, signal: null });
      expect(demo.output).toMatch(/11 of 11 claims hold/);
      expect(demo.output.match(/^ {2}✔/gm)).toHaveLength(11);
      expect(left(demo, runs[i]!)).toEqual(nothing);
    }
  });

  // A Ctrl-C goes to the whole process group; `kill` and service managers send to the launcher alone.
  const moments = [
    { when: "as it begins to start", says: /starting a control plane/, group: true },
    { when: "while hosts start", says: /control plane: PostgreSQL/, group: false },
    { when: "while instances start", says: /two accounts/, group: true },
    { when: "between two claims", says: /✔ 2\. /, group: false },
  ];

  it("interrupted at any moment takes everything down", async () => {
    await Promise.all(
      moments.map(async ({ when, says, group }) => {
        const demo = startDemo();
        const registered = registrationOf(demo);
        await demo.says(says);
        const { run: name } = await registered;
        if (group) demo.signalGroup("SIGINT");
        else demo.signal("SIGINT");
        expect(await demo.ended, `${when}:\n${demo.output}`).toEqual({ code: 130, signal: null });
        expect(left(demo, name), when).toEqual(nothing);
      }),
    );
  });

  it("interrupted again and again while it ends, ends all the same", async () => {
    const demo = startDemo();
    const { run: name } = await registrationOf(demo);
    await demo.says(/first replies/);
    const insisting = setInterval(() => demo.signalGroup("SIGINT"), 200);
    const outcome = await demo.ended.finally(() => clearInterval(insisting));
    expect(outcome, demo.output).toEqual({ code: 130, signal: null });
    expect(left(demo, name)).toEqual(nothing);
  });

  it("killed leaves what `plenum down` removes", async () => {
    const demo = startDemo();
    const { run: name, dataDir } = await registrationOf(demo);
    await demo.says(/first replies/);
    demo.signal("SIGKILL");
    await demo.ended;
    expect(tracesOf(name)).not.toEqual([]); // it could not do it itself
    const down = await plenum("down", "--data-dir", dataDir);
    // The start of another installation on the machine sweeps, too, and may have been quicker.
    expect(down, down.stderr).toMatchObject({ code: 0, stdout: expect.stringMatching(/its launcher was gone; removed|nothing runs here/) });
    expect(left(demo, name)).toEqual(nothing);
  });
});
