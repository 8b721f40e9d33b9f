/** A piece of TypeScript in a document. */
export interface Snippet {
  readonly document: string;
  /** Of its first line in the document, from 1. */
  readonly line: number;
  readonly code: string;
  /** What the document declares for it out of the reader's sight. */
  readonly prelude: string;
}

const FENCE = /^```ts(\s.*)?$/;
/** The last comment of the text, and not the first one with all that follows it. */
const PRELUDE = /<!--\s*snippet:\s*((?:(?!-->)[\s\S])*?)\s*-->\s*$/;

/** Every `ts` block of a Markdown document; a comment `<!-- snippet: declare … -->` right before one belongs to it. */
export function snippetsOf(document: string, markdown: string): readonly Snippet[] {
  const lines = markdown.split("\n");
  const snippets: Snippet[] = [];
  for (let at = 0; at < lines.length; at++) {
    if (!FENCE.test(lines[at]!)) continue;
    const end = lines.indexOf("```", at);
    if (end < 0) throw new SyntaxError(`Expected an end of the block at ${document}:${at + 1}, found none.`);
    const prelude = PRELUDE.exec(lines.slice(0, at).join("\n"))?.[1] ?? "";
    snippets.push({ document, line: at + 2, code: lines.slice(at + 1, end).join("\n"), prelude });
    at = end;
  }
  return snippets;
}

/** A module that compiles where the snippet does; its lines have the numbers that they have in the document. */
export function moduleOf({ line, code, prelude }: Snippet): string {
  return `${"\n".repeat(line - 2)}${prelude.replaceAll("\n", " ")} export {};\n${code}\n`;
}
