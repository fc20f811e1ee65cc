/**
 * What others say, as PostgreSQL's text and jsonb can hold it: without NUL, at most `most` UTF-16 units. Half of a pair, which a cut can leave,
 * becomes the replacement character: inside jsonb it would be an error, for whatever else is written with it.
 */
export function storable(text: string, most: number): string {
  return text.replaceAll("\0", "").slice(0, most).toWellFormed();
}
