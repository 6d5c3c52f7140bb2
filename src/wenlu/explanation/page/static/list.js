// The page around an explanation: language, list, and which of them is shown.
const content = document.getElementById("content");
const main = make("main", { id: "main" });
const states = new Map();
let current = 0;
let wanted = "";

const stateOf = number => {
  if (!states.has(number)) states.set(number, { isShown: false, layer: 0, head: MEAN, row: 0, column: 0 });
  return states.get(number);
};

function show() {
  const found = document.getElementById(`explanation-${current}`);
  if (!found) return main.replaceChildren(make("p", null, say("none")));
  main.replaceChildren(articleOf(current, JSON.parse(found.textContent), stateOf(current), show));
}

function choose(number) {
  if (number === current) return;
  mark(current, false);
  current = number;
  mark(current, true);
  history.replaceState(null, "", `#${number}`);
  show();
}

const linkOf = number => document.querySelector(`nav a[href="#${number}"]`);

function mark(number, isCurrent) {
  const link = linkOf(number);
  if (!link) return;
  link.tabIndex = isCurrent ? 0 : -1;
  if (isCurrent) link.setAttribute("aria-current", "true");
  else link.removeAttribute("aria-current");
}

function navigation() {
  const count = PAGE.list.length;
  const shown = make("p", { class: "note", role: "status" });
  const lines = PAGE.list.map(([id, answer, verdict, beginning], number) =>
    make(
      "li",
      null,
      make(
        "a",
        { href: `#${number}`, tabindex: "-1" },
        make("span", { class: `dot ${verdict}`, title: say(`verdict.${verdict}`) }, say(`verdict.${verdict}`)),
        outside(answer || say("answer.none"), { class: "name" }),
        outside(beginning, { class: "beginning" }),
        outside(id, { class: "id" }),
      ),
    ),
  );
  const filter = () => {
    const isWanted = PAGE.list.map(entry => entry.join("\n").toLowerCase().includes(wanted));
    lines.forEach((line, number) => (line.hidden = !isWanted[number]));
    const found = isWanted.filter(Boolean).length;
    shown.replaceChildren(say("shown", { shown: found, all: count }));
    return isWanted;
  };
  let isWanted = filter();
  const search = make("input", { type: "search", id: "search", autocomplete: "off" });
  search.value = wanted;
  search.addEventListener("input", () => {
    wanted = search.value.toLowerCase();
    isWanted = filter();
  });
  const go = (key, then) => {
    const numbers = [...isWanted.keys()].filter(number => isWanted[number]);
    const before = numbers.filter(number => number < current).length;
    const place = numbers[before] === current ? before : before - (key === "ArrowDown" ? 1 : 0);
    const next = numbers[nextPlace(key, place, numbers.length, "ArrowUp", "ArrowDown")];
    if (next === undefined) return;
    choose(next);
    then(linkOf(next));
  };
  const list = make("ol", { class: "entries" }, lines);
  list.addEventListener("click", event => {
    const link = event.target.closest("a");
    if (!link) return;
    event.preventDefault();
    choose(Number(link.hash.slice(1)));
  });
  list.addEventListener("keydown", event => {
    if (!["ArrowUp", "ArrowDown", "Home", "End"].includes(event.key)) return;
    event.preventDefault();
    go(event.key, link => link.focus());
  });
  const step = (key, label) =>
    make("button", { type: "button", onclick: () => go(key, link => link.scrollIntoView({ block: "nearest" })) }, label);
  const counts = { valid: 0, unconverged: 0, unfaithful: 0 };
  for (const [, , verdict] of PAGE.list) counts[verdict] += 1;
  return make(
    "nav",
    { "aria-label": say("list") },
    make("p", { class: "counts" }, say("counts", counts)),
    make("div", { class: "steps" }, step("ArrowUp", say("previous")), step("ArrowDown", say("next"))),
    make("label", { for: "search" }, say("search")),
    search,
    shown,
    list,
  );
}

function heading() {
  const button = (code, lang, name) => {
    const pressed = String(language === code);
    return make("button", { type: "button", lang, "aria-pressed": pressed, onclick: () => speak(code) }, name);
  };
  const languages = [button("zh", "zh-Hans", "中文"), button("en", "en", "English")];
  document.getElementById("header").replaceChildren(
    make("div", { class: "languages", role: "group", "aria-label": say("language") }, languages),
    make("p", { class: "kind" }, say("title")),
    make("h1", null, outside(PAGE.name)),
  );
}

function speak(code) {
  language = code;
  render();
  document.querySelector(".languages [aria-pressed=true]").focus();
}

function render() {
  document.documentElement.lang = say("lang");
  document.title = `${PAGE.name} · ${say("title")}`;
  heading();
  const several = PAGE.list.length > 1;
  document.body.className = several ? "several" : "";
  content.replaceChildren(...(several ? [navigation()] : []), main);
  mark(current, true);
  show();
  document.getElementById("footer").replaceChildren(make("p", null, say("footer", { version: PAGE.version })));
}

const asked = () => {
  const number = Number.parseInt(location.hash.slice(1), 10);
  return number >= 0 && number < PAGE.list.length ? number : 0;
};
current = asked();
addEventListener("hashchange", () => choose(asked()));
render();
linkOf(current)?.scrollIntoView({ block: "nearest" });
