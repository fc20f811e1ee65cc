import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { CliError, ExitCode } from "../cli-error.ts";
import { findExecutable } from "#lib/process/child.ts";

const SCRIPTS = fileURLToPath(new URL("../../scripts/lib", import.meta.url));
const PROGRAMS: Readonly<Record<string, string>> = {
  "nats-server": "nats-server",
  nsenter: "util-linux",
  setpriv: "util-linux",
  ip: "iproute2",
};

/** What `plenum up` cannot do without, tried and not guessed. @throws CliError that names all of it and the remedy */
export function checkRequirements(): void {
  if (process.getuid?.() !== 0) {
    throw new CliError("only root may make network namespaces and load BPF programs", "run it as root (sudo)", ExitCode.USAGE);
  }
  const missing = Object.entries(PROGRAMS).filter(([program]) => findExecutable(program) === undefined);
  if (missing.length > 0) {
    const packages = [...new Set(missing.map(([, name]) => name))].join(" ");
    throw new CliError(
      `not installed here: ${missing.map(([program]) => program).join(", ")}`,
      `apt-get install ${packages} (\`npm run up\` does it)`,
    );
  }
  const faults = kernelFaults();
  if (faults.length > 0)
    throw new CliError(faults.map(([what]) => what).join("; "), [...new Set(faults.map(([, remedy]) => remedy))].join("; "));
}

function kernelFaults(): [what: string, remedy: string][] {
  if (!existsSync(`${SCRIPTS}/kernel.sh`)) return [];
  const script = `. ${SCRIPTS}/say.sh; . ${SCRIPTS}/kernel.sh; PATH=$PATH:/usr/sbin:/sbin missing_kernel_features`;
  const { stdout } = spawnSync("bash", ["-c", script], { encoding: "utf8" });
  return stdout
    .split("\n")
    .filter((line) => line.includes("|"))
    .map((line) => [line.split("|")[0] ?? "", line.split("|")[1] ?? ""]);
}
