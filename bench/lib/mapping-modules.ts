import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** What bench/mappings.ts runs, of the working copy in `directory`. The types are this one's: what is called must be the same in both. */
export async function mappingModules(directory: string) {
  const load = async (path: string): Promise<unknown> => import(pathToFileURL(join(directory, path)).href);
  return {
    ...((await load("host-agent/core/attempts.ts")) as typeof import("../../host-agent/core/attempts.ts")),
    ...((await load("host-agent/core/mappings.ts")) as typeof import("../../host-agent/core/mappings.ts")),
    ...((await load("host-agent/in/mapping-session.ts")) as typeof import("../../host-agent/in/mapping-session.ts")),
    ...((await load("host-agent/out/datapath/testing/lab.ts")) as typeof import("../../host-agent/out/datapath/testing/lab.ts")),
    ...((await load("host-agent/out/datapath/index.ts")) as typeof import("../../host-agent/out/datapath/index.ts")),
    ...((await load("mapping-service/core/frames.ts")) as typeof import("../../mapping-service/core/frames.ts")),
    ...((await load("mapping-service/core/network-feed.ts")) as typeof import("../../mapping-service/core/network-feed.ts")),
    ...((await load("mapping-service/core/watch-session.ts")) as typeof import("../../mapping-service/core/watch-session.ts")),
    ...((await load("mapping-service/testing/cluster.ts")) as typeof import("../../mapping-service/testing/cluster.ts")),
    ...((await load("gen/plenum/mapping/v1/mapping.ts")) as typeof import("#gen/plenum/mapping/v1/mapping.ts")),
  };
}

export type MappingModules = Awaited<ReturnType<typeof mappingModules>>;
