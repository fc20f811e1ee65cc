import Table from "cli-table3";

/** What a cell may hold; lists are joined, dates shortened, nothing is "-". */
export type Cell = string | number | bigint | boolean | Date | readonly string[] | undefined;

/** One resource as a table: heading → what to show. The whole declaration of how a kind looks (`tables.ts`). */
export interface ResourceTable<T> {
  /** Field of the list's JSON form ("vpcs"). */
  plural: string;
  toJSON(message: T): unknown;
  columns: Readonly<Record<string, (row: T) => Cell>>;
}

/** For people, for programs, and the ids alone (the first column), one a line, for a shell's loops. */
export const OUTPUT_FORMATS = ["table", "json", "id"] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

function text(cell: Cell): string {
  if (cell === undefined || cell === "") return "-";
  if (cell instanceof Date) return cell.toISOString().replace(/\.\d+Z$/, "Z");
  if (typeof cell === "object") return cell.length === 0 ? "-" : cell.join("\n");
  return String(cell);
}

const NO_BORDERS = {
  chars: Object.fromEntries(
    [
      "top",
      "top-mid",
      "top-left",
      "top-right",
      "bottom",
      "bottom-mid",
      "bottom-left",
      "bottom-right",
      "left",
      "left-mid",
      "mid",
      "mid-mid",
      "right",
      "right-mid",
    ].map((name) => [name, ""]),
  ),
  style: { "padding-left": 0, "padding-right": 2, head: [], border: [] },
};

function render(head: string[], rows: string[][]): string {
  const table = new Table({ ...NO_BORDERS, chars: { ...NO_BORDERS.chars, middle: "" }, head });
  table.push(...rows);
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}

/** Rows of one kind: a table for people, `{ "<plural>": [...] }` in proto JSON for programs. */
export function formatList<T>(format: OutputFormat, table: ResourceTable<T>, rows: readonly T[]): string {
  if (format === "json") return JSON.stringify({ [table.plural]: rows.map((row) => table.toJSON(row)) }, null, 2);
  const columns = Object.entries(table.columns);
  if (format === "id") return rows.map((row) => firstCell(table.columns, row)).join("\n");
  return render(
    columns.map(([head]) => head),
    rows.map((row) => columns.map(([, cell]) => text(cell(row)))),
  );
}

const firstCell = <T>(columns: ResourceTable<T>["columns"], row: T): string => text(Object.values(columns)[0]?.(row));

/** Widths of columns whose rows come one by one: as wide as an id, or as most of their cells are. */
const LINE_WIDTHS = { first: 9, id: 38, other: 15 };

const inLine = (cells: readonly { heading: string; cell: string }[]): string =>
  cells.map(({ heading, cell }) => cell.padEnd(/INTERFACE|INSTANCE/.test(heading) ? LINE_WIDTHS.id : LINE_WIDTHS.other)).join("");

/** Headings over lines of `formatLine`. */
export function headLine<T>(first: string, table: ResourceTable<T>): string {
  return (first.padEnd(LINE_WIDTHS.first) + inLine(Object.keys(table.columns).map((heading) => ({ heading, cell: heading })))).trimEnd();
}

/** One row by itself, for what is printed as it happens; `first` goes before it. */
export function formatLine<T>(first: string, table: ResourceTable<T>, row: T): string {
  const cells = Object.entries(table.columns).map(([heading, cell]) => ({ heading, cell: text(cell(row)).replaceAll("\n", ",") }));
  return (first.padEnd(LINE_WIDTHS.first) + inLine(cells)).trimEnd();
}

/** The same for a row of which only its id is left. */
export const goneLine = (first: string, id: string): string => first.padEnd(LINE_WIDTHS.first) + id;

/** What has fields, and perhaps columns. */
export type Shape<T> = Pick<ResourceTable<T>, "toJSON"> & Partial<Pick<ResourceTable<T>, "columns">>;

/** One resource: every field that is set, one a line; or its proto JSON; or its id, where it has one. */
export function formatOne<T>(format: OutputFormat, table: Shape<T>, row: T): string {
  if (format === "id" && table.columns !== undefined) return firstCell(table.columns, row);
  const json = table.toJSON(row) as Record<string, unknown>;
  if (format === "json") return JSON.stringify(json, null, 2);
  return render(
    [],
    Object.entries(json).map(([field, value]) => [fieldName(field), fieldText(value)]),
  );
}

/** As in the proto: "owner_account". */
const fieldName = (jsonName: string): string => jsonName.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function fieldText(value: unknown): string {
  if (Array.isArray(value)) return value.map(fieldText).join("\n");
  return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
}
