/** What a side of bench/mappings.ts is asked for; of each the processor's time, and the clock's. */
export const STAGES = {
  packed: "service: packed anew",
  told: "service: a snapshot to 100 watchers (which frame is next)",
  changed: "service: 100 changes, each to 100 watchers",
  looked: "service: 100,000 addresses looked up, half of them nowhere",
  received: "agent: received and unpacked",
  written: "agent: compared and written",
  repeated: "agent: another snapshot that says the same",
  adopted: "agent: started again on what the kernel holds",
  removed: "agent: removed from the kernel",
} as const;

export type Stage = keyof typeof STAGES;

export interface StageTime {
  cpuMs: number;
  ms: number;
}

export type StageTimes = Record<Stage, StageTime>;

/** Octets an entry. */
export interface Memory {
  kernel: number;
  kernelEmpty: number;
  service: number;
  agent: number;
}

export type Asked = { kind: "round" } | { kind: "memory" } | { kind: "path" } | { kind: "end" };
