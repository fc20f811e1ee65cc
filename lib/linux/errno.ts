import { constants } from "node:os";

const names = new Map<number, string>(Object.entries(constants.errno).map(([name, code]) => [code, name]));

/** "ENOENT" for 2; "errno 4711" for a number that the C library does not name. */
export function errnoName(errno: number): string {
  return names.get(errno) ?? `errno ${errno}`;
}

/** A system call or a netlink request that the kernel refused. */
export class KernelError extends Error {
  /** Positive errno. */
  readonly errno: number;
  /** Its name ("EEXIST"), like `code` of Node's own system errors. */
  readonly code: string;

  /**
   * @param asked what was asked for, in words ("setns to /run/netns/a")
   * @param detail what the kernel said beside the number (netlink's extended ack)
   */
  constructor(errno: number, asked: string, detail = "") {
    const code = errnoName(errno);
    super(`${asked}: ${code}${detail === "" ? "" : ` (${detail})`}`);
    this.name = "KernelError";
    this.errno = errno;
    this.code = code;
  }
}

/** True for a KernelError or a Node system error with one of these codes. */
export function hasCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && "code" in error && typeof error.code === "string" && codes.includes(error.code);
}
