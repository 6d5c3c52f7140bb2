// The strongest units as bars, to the right what speaks for, to the left what speaks against.
function barOf(name, amount, error, explanation) {
  const kind = kindOf(amount, explanation.signed);
  const middle = explanation.signed ? 50 : 0;
  const scale = (100 - middle) / explanation.largest;
  const size = typeof amount === "number" ? Math.min(100 - middle, Math.abs(amount) * scale) : 0;
  const end = amount < 0 ? middle - size : middle + size;
  const track = make("span", { class: "track", "aria-hidden": "true" });
  track.append(make("span", { class: `bar ${kind}`, style: `left:${Math.min(middle, end)}%;width:${size}%` }));
  if (typeof error === "number" && error > 0) {
    const left = Math.max(0, end - error * scale);
    const right = Math.min(100, end + error * scale);
    track.append(make("span", { class: "spread", style: `left:${left}%;width:${right - left}%` }));
  }
  const number = make("span", { class: "number" }, withError(amount, error, explanation.places));
  return make("li", { class: explanation.signed ? "signed" : null }, outside(name, { class: "name" }), track, number);
}

function barsOf(explanation) {
  const units = explanation.parts.flatMap(([, segments]) => segments.filter(segment => typeof segment !== "string"));
  const lines = explanation.strongest.map(number => {
    const [unit, amount, error] = units[number];
    return barOf(unit, amount, error, explanation);
  });
  const sampled = units.some(unit => unit.length > 2);
  const found = [
    make("h3", null, say("strongest")),
    lines.length ? make("ol", { class: "bars" }, lines) : make("p", { class: "note" }, say("strongest.none")),
    sampled ? make("p", { class: "note" }, say("error.note")) : null,
  ];
  if (explanation.elsewhere.length) {
    const rest = explanation.elsewhere.map(([name, amount]) => barOf(name, amount, undefined, explanation));
    found.push(make("h3", null, say("elsewhere")), make("ul", { class: "bars" }, rest));
  }
  found.push(tableOf(units, explanation));
  return make("section", { class: "strongest" }, found);
}

// Every unit with its amount, for readers who do not see colours; filled when it is opened.
function tableOf(units, explanation) {
  const details = make("details", null, make("summary", null, say("all")));
  details.addEventListener("toggle", () => {
    if (details.childElementCount > 1) return;
    const number = { class: "number" };
    const rows = units.map(([unit, amount, error]) => {
      const told = amount === null ? say("legend.unread") : withError(amount, error, explanation.places);
      return make("tr", null, make("td", null, outside(unit)), make("td", number, told));
    });
    const titles = [
      make("th", { scope: "col" }, say("unit")),
      make("th", { scope: "col", ...number }, say("amount")),
    ];
    const head = make("tr", null, titles);
    details.append(make("table", { class: "units" }, make("thead", null, head), make("tbody", null, rows)));
  });
  return details;
}
