// One explanation. What the reader chose of it (colours in spite of the verdict, layer and head) is in `chosen`.
function articleOf(number, explanation, chosen, redraw) {
  const { verdict, reasons, sure, attention } = explanation;
  const badge = make("strong", { class: "badge" }, say(`verdict.${verdict}`));
  const why = reasons.map(reason => make("li", null, tell(reason)));
  return make(
    "article",
    { "aria-labelledby": "answer" },
    make("div", { class: "verdict" }, make("p", { class: verdict }, badge, ` ${say(`verdict.${verdict}.means`)}`)),
    why.length ? make("ul", { class: "reasons" }, why) : null,
    make("p", { class: "kind" }, say("answer")),
    make(
      "h2",
      { id: "answer" },
      outside(explanation.answer || say("answer.none")),
      sure ? make("span", { class: "sure" }, ` ${tell(sure)}`) : null,
    ),
    make("p", { class: "note" }, tell(explanation.explained)),
    amountsOf(explanation, say(`verdict.${verdict}`), chosen, redraw),
    certificateOf(explanation),
    attention ? later(() => attentionOf(number, explanation, chosen)) : null,
  );
}

// What takes long to draw comes after what has been painted without it.
function later(build) {
  const place = make("section");
  requestAnimationFrame(() => setTimeout(() => place.isConnected && place.replaceWith(build())));
  return place;
}

// The text, and what is told of its units: under a verdict that is not valid nothing of it is coloured, unless asked
// for, and then it is said beside it for as long as it is there.
function amountsOf(explanation, verdict, chosen, redraw) {
  const isValid = explanation.verdict === "valid";
  const isColoured = isValid || chosen.isShown;
  const readout = make("p", { class: "readout", role: "status" }, say("hint"));
  const content = [
    make("h3", null, say("text")),
    isValid ? null : untrusted(verdict, chosen, redraw),
    isColoured ? legendOf(explanation) : null,
    textOf(explanation, isColoured, text => readout.replaceChildren(text)),
    isColoured ? readout : null,
    explanation.unread ? make("p", { class: "note" }, tell(explanation.unread)) : null,
    isColoured ? barsOf(explanation) : null,
    isColoured && explanation.sum ? make("p", { class: "sum" }, tell(explanation.sum)) : null,
  ];
  return make("section", { class: isColoured && !isValid ? "amounts doubtful" : "amounts" }, content);
}

function untrusted(verdict, chosen, redraw) {
  const toggle = () => {
    chosen.isShown = !chosen.isShown;
    redraw();
    document.getElementById("anyway").focus();
  };
  return make(
    "div",
    { class: "untrusted", role: "note" },
    make("p", null, say(chosen.isShown ? "untrusted" : "hidden", { verdict })),
    make("button", { id: "anyway", type: "button", onclick: toggle }, say(chosen.isShown ? "hide" : "show")),
  );
}

function certificateOf(explanation) {
  const titles = ["what", "found", "means"].map(name => make("th", { scope: "col" }, say(`certificate.${name}`)));
  const rows = explanation.rows.map(row =>
    make(
      "tr",
      null,
      make("th", { scope: "row" }, tell(row, ".label")),
      make("td", null, tell(row, ".value")),
      make("td", null, tell(row, ".meaning")),
    ),
  );
  return make(
    "section",
    { class: "certificate" },
    make("h3", null, say("certificate")),
    make("table", null, make("thead", null, make("tr", null, titles)), make("tbody", null, rows)),
  );
}
