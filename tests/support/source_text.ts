// Just enough of TypeScript's syntax to tell code from comments and strings.

/** A source text, twice, with every line where it was. */
export interface SourceText {
  /** Without comments. */
  readonly withStrings: string;
  /** Without comments, and with nothing in its strings. */
  readonly code: string;
}

/** What ends the code before it, so that a `/` after it begins a regular expression. */
const BEFORE_REGEXP = /(?:[(,=:[!&|?{};+\n]|\breturn|\btypeof)\s*$/;

/** Takes comments out, and what strings hold. */
export function readSource(text: string): SourceText {
  let withStrings = "";
  let code = "";
  let index = 0;
  /** For each template that is open, the braces open in its `${`. */
  const templates: number[] = [];
  const blank = (part: string) => part.replace(/[^\n]/g, " ");
  const take = (length: number, kind: "code" | "comment" | "string") => {
    const part = text.slice(index, index + length);
    withStrings += kind === "comment" ? blank(part) : part;
    code += kind === "code" ? part : blank(part);
    index += length;
  };
  const takeTemplate = () => {
    const rest = /^(?:\\[^]|\$(?!\{)|[^`\\$])*/.exec(text.slice(index));
    take(rest?.[0].length ?? 0, "string");
    if (text.startsWith("${", index)) {
      templates.push(0);
      take(2, "code");
    } else take(1, "code");
  };
  while (index < text.length) {
    const rest = text.slice(index);
    const comment = /^(?:\/\/[^\n]*|\/\*[^]*?\*\/)/.exec(rest);
    const string = /^"(?:\\[^]|[^"\\\n])*"|^'(?:\\[^]|[^'\\\n])*'/.exec(rest);
    const regexp = /^\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/[a-z]*/
      .exec(rest);
    if (comment !== null) take(comment[0].length, "comment");
    else if (string !== null) {
      take(1, "code");
      take(string[0].length - 2, "string");
      take(1, "code");
    } else if (
      regexp !== null && BEFORE_REGEXP.test(code.slice(-40).trimEnd() || "\n")
    ) take(regexp[0].length, "string");
    else if (rest.startsWith("`")) {
      take(1, "code");
      takeTemplate();
    } else if (rest.startsWith("}") && templates.at(-1) === 0) {
      templates.pop();
      take(1, "code");
      takeTemplate();
    } else {
      const open = templates.length - 1;
      if (open >= 0 && rest.startsWith("{")) templates[open]! += 1;
      if (open >= 0 && rest.startsWith("}")) templates[open]! -= 1;
      take(/^[\w$]+/.exec(rest)?.[0].length ?? 1, "code");
    }
  }
  return { withStrings, code };
}
