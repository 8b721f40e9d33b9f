/**
 * Leaves out what is only read by people: text of two words or more (messages, hints, reasons, names of what is awaited),
 * and an object that holds nothing but a hint. What programs read (codes, states, keys, headers) has no blank in it, and is
 * mutated.
 */
const WORDS = /[\p{L},:"”)}] [\p{L}"“(<$…]/u;

/** The text of a literal, with a letter in the place of each expression; `undefined` where it is none. */
function textOf(node) {
  if (node.type === "StringLiteral") return node.value;
  if (node.type === "TemplateLiteral") return node.quasis.map(({ value }) => value.raw).join("x");
  return undefined;
}

function isWords(node) {
  const text = textOf(node);
  return text !== undefined && WORDS.test(text);
}

function isHint(node) {
  if (node.type !== "ObjectExpression" || node.properties.length !== 1) return false;
  const [property] = node.properties;
  return property.type === "ObjectProperty" && property.key.name === "hint" && isWords(property.value);
}

export const strykerPlugins = [
  {
    kind: "Ignore",
    name: "words",
    value: {
      shouldIgnore({ node }) {
        return isWords(node) || isHint(node) ? "words for people" : undefined;
      },
    },
  },
];
