/** Items of one message of a feed, encoded, in bytes: far below what a message may have (16 MiB), whatever the items carry. */
export const CHUNK_BYTES = 1_048_576;

/** Items in chunks of at most `most` bytes, in order. A chunk has one item at least; an item larger than that has a chunk of its own. */
export function* chunksOf<Item>(
  items: readonly Item[],
  bytesOf: (item: Item) => number,
  most = CHUNK_BYTES,
): Generator<Item[], void, undefined> {
  let chunk: Item[] = [];
  let bytes = 0;
  for (const item of items) {
    const own = bytesOf(item);
    if (chunk.length > 0 && bytes + own > most) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(item);
    bytes += own;
  }
  if (chunk.length > 0) yield chunk;
}
