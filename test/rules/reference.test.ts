import { describe, expect, it } from "vitest";
import { REFERENCE_DIR, renderReference } from "../../scripts/render-reference.ts";
import { repositoryFiles, textOf } from "./repository.ts";

// Reference pages are made from the source: a page that differs tells yesterday's truth.

describe("the reference pages", () => {
  it("are what the source says (else: node scripts/render-reference.ts)", async () => {
    const pages = await renderReference();
    expect([...pages.keys()].sort()).toEqual(repositoryFiles(`${REFERENCE_DIR}/*`));
    for (const [path, text] of pages) expect(textOf(path), path).toBe(text);
  });

  it("hold what they are about", async () => {
    const pages = await renderReference();
    expect(pages.get(`${REFERENCE_DIR}/drops.md`)).toMatch(/\| 16 +\| `NO_MAPPING`/);
    expect(pages.get(`${REFERENCE_DIR}/errors.md`)).toMatch(/\| `ADDRESS_IN_USE` +\| FAILED_PRECONDITION/);
    expect(pages.get(`${REFERENCE_DIR}/config.md`)).toMatch(/\| `--substrate-address` +\| `PLENUM_HOST_SUBSTRATE_ADDRESS`/);
  });
});
