import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { format, resolveConfig } from "prettier";
import { buildBpf } from "../../bpf/build.ts";
import { describeLayout } from "./describe-layout.ts";
import { readDropReasons, renderLayout } from "./render-layout.ts";

export const LAYOUT_FILE = join(import.meta.dirname, "layout.gen.ts");

/** What layout.gen.ts must contain, from the sources as they are now. @throws as `buildBpf` */
export async function generateLayout(): Promise<string> {
  const layout = describeLayout(readFileSync(buildBpf().objectPath));
  const header = readFileSync(join(import.meta.dirname, "../../bpf/drop_reasons.h"), "utf8");
  const style = await resolveConfig(LAYOUT_FILE);
  return format(renderLayout(layout, readDropReasons(header, layout)), { ...style, filepath: LAYOUT_FILE });
}

// Run by hand after a change of bpf/*.h: node host-agent/out/datapath/generate-layout.ts
if (import.meta.main) writeFileSync(LAYOUT_FILE, await generateLayout());
