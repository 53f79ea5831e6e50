/**
 * Aligned tables of text, for people.
 *
 * @module
 */

/** A column. */
export interface Column {
  readonly title: string;
  /** Numbers stand on the right. */
  readonly isNumber?: boolean;
  /** Characters that it has at least. */
  readonly width?: number;
}

/** A row: a text for each column. */
export type Cells = readonly (string | number)[];

/** Rows become lines as they come; columns only ever grow wider. */
export class Table {
  readonly #columns: readonly Column[];
  readonly #widths: number[];

  /** Constructs a table without rows. */
  constructor(columns: readonly Column[]) {
    this.#columns = columns;
    this.#widths = columns.map(({ title, width = 0 }) =>
      Math.max(title.length, width)
    );
  }

  /** The line of titles. */
  get head(): string {
    return this.#align(this.#columns.map(({ title }) => title));
  }

  /** Makes the columns wide enough for a row. */
  fit(cells: Cells): void {
    for (const [index, cell] of cells.entries()) {
      const { length } = shown(cell);
      this.#widths[index] = Math.max(this.#widths[index] ?? 0, length);
    }
  }

  /** The line of a row. */
  line(cells: Cells): string {
    this.fit(cells);
    return this.#align(cells);
  }

  #align(cells: Cells): string {
    return cells.map((cell, index) => {
      const width = this.#widths[index] ?? 0;
      const text = shown(cell);
      return this.#columns[index]?.isNumber
        ? text.padStart(width)
        : text.padEnd(width);
    }).join("  ").trimEnd();
  }
}

/** The lines of a table whose rows are all there. */
export function formatTable(
  columns: readonly Column[],
  rows: readonly Cells[],
): string[] {
  const table = new Table(columns);
  for (const row of rows) table.fit(row);
  return [table.head, ...rows.map((row) => table.line(row))];
}

/** A time, or `-` where there is none. */
export function formatTime(ms: number | undefined): string {
  if (ms === undefined || ms === 0) return "-";
  const time = new Date(ms);
  return Number.isNaN(time.getTime()) ? String(ms) : time.toISOString();
}

// deno-lint-ignore no-control-regex -- what moves a terminal's cursor is meant
const CONTROL = /[\x00-\x1f\x7f-\x9f]/g;

/** What a cell holds is not the command's: it could write over the screen. */
function shown(cell: string | number): string {
  return String(cell).replace(
    CONTROL,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
