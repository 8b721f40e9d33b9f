/** Computes the wait before a retry, in milliseconds; `retried` is 0 for the first retry. */
export type RetryDelay = (retried: number) => number;

const FUNCTIONS: Record<string, { readonly arity: number; readonly apply: (...values: number[]) => number }> = {
  pow: { arity: 2, apply: Math.pow },
  exp: { arity: 1, apply: Math.exp },
  sqrt: { arity: 1, apply: Math.sqrt },
  abs: { arity: 1, apply: Math.abs },
  floor: { arity: 1, apply: Math.floor },
  ceil: { arity: 1, apply: Math.ceil },
  round: { arity: 1, apply: Math.round },
  min: { arity: 2, apply: Math.min },
  max: { arity: 2, apply: Math.max },
};

const TOKEN = /\s*(?:(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|([A-Za-z_]+)|([-+*/%(),]))/y;
const LONGEST_EXPRESSION = 512;

/**
 * Compiles an `Upstash-Retry-Delay` expression: numbers, `retried`, `+ - * / %`, parentheses and the documented
 * functions. A parser of its own and no `eval`: the text comes from outside.
 *
 * @throws SyntaxError that says what was found where something else was expected
 */
export function compileRetryDelay(expression: string): RetryDelay {
  const tokens = tokenize(expression);
  let position = 0;

  const peek = (): string | undefined => tokens[position];
  const expect = (wanted: string): void => {
    if (peek() !== wanted) throw unexpected(peek(), `"${wanted}"`);
    position += 1;
  };

  const sum = (): RetryDelay => {
    let left = product();
    for (let sign = peek(); sign === "+" || sign === "-"; sign = peek()) {
      position += 1;
      const [a, b] = [left, product()];
      left = sign === "+" ? (retried) => a(retried) + b(retried) : (retried) => a(retried) - b(retried);
    }
    return left;
  };

  const product = (): RetryDelay => {
    let left = unary();
    for (let sign = peek(); sign === "*" || sign === "/" || sign === "%"; sign = peek()) {
      position += 1;
      const [a, b] = [left, unary()];
      if (sign === "*") left = (retried) => a(retried) * b(retried);
      else if (sign === "/") left = (retried) => a(retried) / b(retried);
      else left = (retried) => a(retried) % b(retried);
    }
    return left;
  };

  const unary = (): RetryDelay => {
    if (peek() !== "-") return primary();
    position += 1;
    const operand = unary();
    return (retried) => -operand(retried);
  };

  const primary = (): RetryDelay => {
    const token = peek();
    if (token === undefined) throw unexpected(token, "a value");
    position += 1;
    if (token === "(") {
      const inner = sum();
      expect(")");
      return inner;
    }
    if (/^\d/.test(token)) {
      const value = Number(token);
      return () => value;
    }
    if (token === "retried") return (retried) => retried;
    return call(token);
  };

  const call = (name: string): RetryDelay => {
    const found = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
    if (found === undefined) throw unexpected(name, "a number, `retried` or a known function");
    expect("(");
    const operands = [sum()];
    while (operands.length < found.arity) {
      expect(",");
      operands.push(sum());
    }
    expect(")");
    return (retried) => found.apply(...operands.map((operand) => operand(retried)));
  };

  const delay = sum();
  if (position < tokens.length) throw unexpected(peek(), "the end");
  return delay;
}

function tokenize(expression: string): readonly string[] {
  if (expression.length > LONGEST_EXPRESSION) {
    throw new SyntaxError(`expected at most ${LONGEST_EXPRESSION} characters, found ${expression.length}`);
  }
  const text = expression.trimEnd();
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const start = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null) throw unexpected(text.slice(start).trimStart().charAt(0), "a value or an operator");
    tokens.push(match[1] ?? match[2] ?? match[3] ?? "");
  }
  return tokens;
}

function unexpected(found: string | undefined, expected: string): SyntaxError {
  return new SyntaxError(`expected ${expected}, found ${found === undefined ? "the end" : `"${found}"`}`);
}
