// The text with its units. Colours, amounts and focus only where they are asked for: see article.js.
const STEPS = 5;

const written = (amount, places) =>
  typeof amount === "number" ? (amount < 0 ? "−" : "+") + Math.abs(amount).toFixed(places) : amount;

function kindOf(amount, signed) {
  if (amount === null) return "unread";
  if (typeof amount !== "number") return "bad";
  if (amount === 0) return "none";
  if (!signed) return "unsigned";
  return amount > 0 ? "for" : "against";
}

function withError(amount, error, places) {
  if (error === undefined) return written(amount, places);
  return written(amount, places) + say("error", { error: typeof error === "number" ? error.toFixed(places) : error });
}

function said([unit, amount, error], explanation) {
  const told = withError(amount, error, explanation.places);
  return say(`unit.${kindOf(amount, explanation.signed)}`, { unit, amount: told });
}

function classOf(amount, explanation) {
  const kind = kindOf(amount, explanation.signed);
  if (kind === "unread") return "unit unread";
  if (kind === "bad" || kind === "none") return "unit";
  const step = Math.round((STEPS * Math.abs(amount)) / explanation.largest);
  return step ? `unit ${kind === "against" ? "against" : "for"} step${Math.min(STEPS, step)}` : "unit";
}

function textOf(explanation, isColoured, read) {
  const units = [];
  const parts = explanation.parts.map(([name, segments]) => {
    const shown = segments.map(segment => {
      if (typeof segment === "string") return segment;
      if (!isColoured) return make("span", { class: segment[1] === null ? "unit unread" : "unit" }, segment[0]);
      const node = make("span", { class: classOf(segment[1], explanation), tabindex: "-1" }, segment[0]);
      units.push([node, segment]);
      return node;
    });
    const title = explanation.parts.length > 1 ? make("h4", null, term(name)) : null;
    return [title, make("p", { class: "text", dir: "auto" }, shown)];
  });
  const whole = make("div", { class: "texts" }, parts.flat());
  if (isColoured) followed(whole, units, segment => read(said(segment, explanation)));
  return whole;
}

// The pointer and the arrow keys go from unit to unit; of all of them one is in the order of the tabulator.
function followed(whole, units, read) {
  const places = new Map(units.map(([node], place) => [node, place]));
  let current = 0;
  if (units.length) units[0][0].tabIndex = 0;
  const go = place => {
    units[current][0].tabIndex = -1;
    current = place;
    units[current][0].tabIndex = 0;
  };
  whole.addEventListener("pointerover", event => {
    const place = places.get(event.target);
    if (place !== undefined) read(units[place][1]);
  });
  whole.addEventListener("focusin", event => {
    const place = places.get(event.target);
    if (place === undefined) return;
    go(place);
    read(units[place][1]);
  });
  whole.addEventListener("keydown", event => {
    const place = nextPlace(event.key, current, units.length, "ArrowLeft", "ArrowRight");
    if (place === null || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    units[place][0].focus();
  });
}

function legendOf(explanation) {
  const names = { target: explanation.target, against: explanation.against ?? "" };
  const other = explanation.against === null ? "" : ".other";
  const entry = (kind, key) =>
    make("li", null, make("span", { class: `unit ${kind}`, "aria-hidden": "true" }, "Aa"), ` ${say(key, names)}`);
  const entries = explanation.signed
    ? [entry("for step4", `legend.for${other}`), entry("against step4", `legend.against${other}`)]
    : [entry("for step4", "legend.unsigned")];
  if (explanation.unread) entries.push(entry("unread", "legend.unread"));
  return make("ul", { class: "legend" }, entries);
}
