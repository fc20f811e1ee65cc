import { randomBytes } from "node:crypto";
import * as linux from "#lib/linux/index.ts";
import { willLeave } from "#lib/linux/testing/leftovers.ts";

/** Namespaces of a test: a host and instances, with names that no other run has. */
export class TestHost {
  readonly #prefix = `plt${process.pid}${randomBytes(2).toString("hex")}`;
  readonly #names: string[] = [];
  readonly path: string;

  constructor(...instanceIds: string[]) {
    willLeave({ kind: "namespaces", prefix: this.#prefix });
    this.path = this.#create("host");
    for (const instanceId of instanceIds) this.#create(instanceId);
  }

  instancePath(instanceId: string): string {
    return linux.namespacePath(`${this.#prefix}-${instanceId}`);
  }

  link(path: string, which: string | number): linux.Link | undefined {
    return linux.withNetlink(path, (nl) => linux.getLink(nl, which));
  }

  dispose(): void {
    for (const name of this.#names) linux.deleteNamedNamespace(name);
  }

  #create(what: string): string {
    const name = `${this.#prefix}-${what}`;
    const path = linux.createNamedNamespace(name);
    this.#names.push(name);
    return path;
  }
}
