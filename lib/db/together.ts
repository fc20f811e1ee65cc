import type { Transaction } from "kysely";

/**
 * Runs statements of a transaction that need not wait for each other's answers: they go out together and run in the order in which `body`
 * sends them, each as if alone (it sees what those before it locked and wrote). One round trip instead of one for each. When one fails,
 * those behind it fail too, so `body` waits with Promise.all, which tells of the first. What `body` is given takes `sql` only.
 */
export async function together<Tables, Result>(
  tx: Transaction<Tables>,
  body: (tx: Transaction<Tables>) => Promise<Result>,
): Promise<Result> {
  // Kysely itself sends a transaction's statements one after the other; the connection below it does not (`pipeline` in database.ts).
  const connection = await tx.getExecutor().provideConnection((own) => Promise.resolve(own));
  const executor = tx.getExecutor().withConnectionProvider({ provideConnection: (consumer) => consumer(connection) });
  return body(Object.create(tx, { getExecutor: { value: () => executor } }) as Transaction<Tables>);
}
