import type pg from "pg";
import { isPlanStale } from "./errors.ts";

/** Texts with a name at most, of one process; what is more is parsed and planned each time it runs. */
const MAX_TEXTS = 1_000;

/**
 * Names of statements, the same on every connection of a pool: what has a name is parsed once a connection, and planned once it has
 * run a few times there (PostgreSQL keeps planning for the values where that is cheaper).
 */
export class StatementNames {
  readonly #names = new Map<string, string>();
  #made = 0;

  /** Undefined: no more get one. */
  of(text: string): string | undefined {
    const known = this.#names.get(text);
    if (known !== undefined || this.#names.size >= MAX_TEXTS) return known;
    this.#made += 1;
    const name = `s${this.#made}`;
    this.#names.set(text, name);
    return name;
  }

  /** What was prepared is of tables that became others (a newer copy has migrated them): all get other names, and are prepared anew. */
  renew(): void {
    this.#names.clear();
  }
}

type Query = (...args: readonly unknown[]) => Promise<unknown>;

/** Let the connection prepare the statements that have values: those without are few and may be several in one text. */
export function prepareStatements(client: pg.ClientBase, names: StatementNames): void {
  const query = client.query.bind(client) as Query;
  const prepared: Query = async (text, values) => {
    const named = (): Promise<unknown> => {
      const name = names.of(text as string);
      return name === undefined ? query(text, values) : query({ name, text, values });
    };
    try {
      return await named();
    } catch (error) {
      if (!isPlanStale(error)) throw error;
      names.renew();
      // Inside a transaction it has failed with that; `transaction` and `snapshot` run again.
      if (client.getTransactionStatus() !== "I") throw error;
      return named();
    }
  };
  const answer: Query = (...args) => {
    const [text, values, callback] = args;
    const plain = typeof text !== "string" || !Array.isArray(values) || values.length === 0 || callback !== undefined;
    return plain ? query(...args) : prepared(text, values);
  };
  client.query = answer as unknown as typeof client.query;
}
