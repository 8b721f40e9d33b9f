import type { Dialect } from "../../../adapters/sql/index.ts";

const TYPES: Readonly<Record<Dialect["name"], Readonly<Record<string, string>>>> = {
  postgresql: { String: "TEXT", BigInt: "BIGINT", Int: "INTEGER" },
  sqlite: { String: "TEXT", BigInt: "BIGINT", Int: "INTEGER" },
  mysql: { BigInt: "BIGINT", Int: "INTEGER" },
};
const FIELD = /^ {2}(\w+) +(\w+)(\??)(?: +(.+))?$/;

/**
 * The statements that make the tables of a Prisma schema, as `prisma migrate diff` writes them, whose engine is not in a
 * package. It knows what the guide's models use, and throws at anything else; Prisma itself reads the models when it
 * generates a client.
 */
export function prismaDdl(dialect: Dialect["name"], models: string): readonly string[] {
  return [...models.matchAll(/^model \w+ \{\n([\s\S]*?)^\}/gm)].flatMap(([, body]) => {
    const columns: string[] = [];
    const indexes: string[] = [];
    let [key, table] = ["", ""];
    for (const line of body!.split("\n").filter((text) => text.trim() !== "")) {
      const field = FIELD.exec(line);
      const [, kind, fields, map] = /^ {2}@@(\w+)\((?:\[(.*?)\](?:, )?)?(?:(?:map: )?"(\w+)")?\)$/.exec(line) ?? [];
      const parts = fields?.replaceAll(/\(length: (\d+)\)/g, "($1)");
      if (field !== null) columns.push(columnOf(dialect, field));
      else if (kind === "map") table = map!;
      else if (kind === "id") key = `PRIMARY KEY (${parts})`;
      else if (kind === "index") indexes.push(`${map} ON TABLE_NAME (${parts})`);
      else throw new SyntaxError(`expected a field or an attribute that is known, found: ${line}`);
    }
    // What Prisma says of every table of MySQL.
    const end = dialect === "mysql" ? " DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci" : "";
    return [
      `CREATE TABLE ${table} (${[...columns, key].join(", ")})${end}`,
      ...indexes.map((index) => `CREATE INDEX ${index.replace("TABLE_NAME", table)}`),
    ];
  });
}

function columnOf(dialect: Dialect["name"], [line, name, type, optional, attributes = ""]: RegExpExecArray): string {
  const native = /@db\.(\w+(?:\(\d+\))?)/.exec(attributes)?.[1];
  const sqlType = native?.toUpperCase() ?? TYPES[dialect][type!];
  if (sqlType === undefined) throw new SyntaxError(`expected a type that is known, found: ${line}`);
  const preset = /@default\((\d+)\)/.exec(attributes)?.[1];
  return `${name} ${sqlType}${optional === "?" ? "" : " NOT NULL"}${preset === undefined ? "" : ` DEFAULT ${preset}`}`;
}
