import { readFileSync } from "node:fs";
import { hasCode } from "./errno.ts";

/** A file's text; undefined: there is none. @throws the system's error for any other reason that it cannot be read */
export function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    throw error;
  }
}
