import { PostgresDialect, PostgresDriver } from "kysely";
import type { CompiledQuery, DatabaseConnection, PostgresDialectConfig, TransactionSettings } from "kysely";

type Execute = DatabaseConnection["executeQuery"];

const reads = ({ sql }: CompiledQuery): boolean => /^\s*select\b/i.test(sql);

/**
 * PostgreSQL as Kysely has it, but nobody waits for BEGIN by itself: the first statement goes out with it, if that reads. Should BEGIN fail
 * alone (cancelled), what was sent behind it has run outside of a transaction: so nothing is written until it has answered.
 */
export class Dialect extends PostgresDialect {
  readonly #config: PostgresDialectConfig;

  constructor(config: PostgresDialectConfig) {
    super(config);
    this.#config = config;
  }

  override createDriver(): PostgresDriver {
    return new Driver(this.#config);
  }
}

class Driver extends PostgresDriver {
  override beginTransaction(connection: DatabaseConnection, settings: TransactionSettings): Promise<void> {
    const begun = super.beginTransaction(connection, settings);
    const execute = connection.executeQuery.bind(connection) as Execute;
    let first = true;
    const behind: Execute = async (query, options) => {
      const along = first && reads(query);
      first = false;
      if (!along) await begun;
      const answer = execute<never>(query, options);
      await Promise.all([begun, answer]); // of two failures BEGIN's, which is the first
      return answer;
    };
    connection.executeQuery = behind;
    const restore = (): void => void Reflect.deleteProperty(connection, "executeQuery");
    begun.then(restore, restore); // its failure is told with the first statement
    return Promise.resolve();
  }
}
