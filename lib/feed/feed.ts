/** The feed: scopes carry order, the log is the truth, hints are only quick (C1, C2, C3). */
export { appendChanges, publishHints } from "./append.ts";
export type { AppendedChange, Change } from "./append.ts";
export { CHUNK_BYTES, chunksOf } from "./chunks.ts";
export { CoalescingQueue } from "./coalescing-queue.ts";
export type { FollowOptions, Follower } from "./follower.ts";
export { scopeKind } from "./hint.ts";
export { limiter } from "./limiter.ts";
export type { Limiter } from "./limiter.ts";
export type { Delta } from "./log-reader.ts";
export { feedMigration, feedViews } from "./schema.ts";
export { createScopeReader } from "./scope-reader.ts";
export type { ScopeReader, ScopeReaderOptions, ScopeReaderStats } from "./scope-reader.ts";
export { trimChanges } from "./trim.ts";
