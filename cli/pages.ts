/** The longest page that the contract gives. */
const PAGE = 1_000;

/** All pages of a list as one, in the server's order; at most `limit` items. */
export async function pagesOf<Item, Answer extends { nextPageToken: string }>(
  page: (request: { pageSize: number; pageToken: string }) => Promise<Answer>,
  items: (answer: Answer) => Item[],
  limit = Number.POSITIVE_INFINITY,
): Promise<Item[]> {
  const all: Item[] = [];
  let pageToken = "";
  do {
    const answer = await page({ pageSize: Math.min(PAGE, limit - all.length), pageToken });
    all.push(...items(answer));
    pageToken = answer.nextPageToken;
  } while (pageToken !== "" && all.length < limit);
  return all;
}
