/** The feed: scopes carry order, the log is the truth, hints are only quick (C1, C2, C3). */
export { appendChanges, publishHints } from "./append.ts";
export type { AppendedChange, Change } from "./append.ts";
export { CHUNK_BYTES, chunksOf } from "./chunks.ts";
export { CoalescingQueue } from "./coalescing-queue.ts";
export type { FollowOptions, Follower } from "./follower.ts";
export { changesSince, newestChanges } from "./history.ts";
export type { LinkedDelta } from "./history.ts";
export { scopeKind } from "./hint.ts";
export { limiter } from "./limiter.ts";
export type { Limiter } from "./limiter.ts";
export type { Delta } from "./log-reader.ts";
export { decodeBookmark, encodeBookmark } from "./position.ts";
export type { Position } from "./position.ts";
export { feedMarks, feedMigration, feedViews } from "./schema.ts";
export { createScopeReader } from "./scope-reader.ts";
export type { ScopeReader, ScopeReaderOptions, ScopeReaderStats } from "./scope-reader.ts";
export { trimChanges } from "./trim.ts";
