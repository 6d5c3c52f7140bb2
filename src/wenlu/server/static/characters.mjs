// The API counts characters; JavaScript counts halves of some of them, as of emoji.

/** The text in parts: {text} between the spans, {text, span} of each; of spans that overlap, the first. */
export function partsOf(text, spans) {
  const characters = Array.from(text);
  const parts = [];
  let at = 0;
  for (const span of [...spans].sort((a, b) => a.start - b.start || b.end - a.end)) {
    if (span.start < at || span.end > characters.length) continue;
    if (span.start > at) parts.push({ text: characters.slice(at, span.start).join("") });
    parts.push({ text: characters.slice(span.start, span.end).join(""), span });
    at = span.end;
  }
  if (at < characters.length) parts.push({ text: characters.slice(at).join("") });
  return parts;
}
