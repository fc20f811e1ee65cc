interface Hook {
  readonly name: string;
  readonly run: () => Promise<void>;
}

const hooks: Hook[] = [];

/** Something that the whole process does at its very end, after all services stopped (telemetry's last batch). */
export function atShutdown(name: string, run: () => Promise<void>): void {
  hooks.push({ name, run });
}

/** Takes the hooks, newest first: each runs once. */
export function takeHooks(): readonly Hook[] {
  return hooks.splice(0).reverse();
}
