// What was written into the page, and elements made of it: all text goes in as text.
const held = id => JSON.parse(document.getElementById(id).textContent);
const WORDS = held("words");
const PAGE = held("page");
let language = (navigator.language || "en").toLowerCase().startsWith("zh") ? "zh" : "en";

// A sentence in the reader's language; what stands in braces is filled in once, whatever it contains.
function say(key, numbers = {}) {
  return WORDS[language][key].replace(/\{(\w+)\}/g, (braces, name) => numbers[name] ?? braces);
}

const term = name => WORDS[language][`term.${name}`] ?? name;

// A saying as Python wrote it: key, numbers, and terms that are told in the reader's language.
function tell([key, numbers, terms], suffix = "") {
  const told = { ...numbers };
  for (const [name, own] of Object.entries(terms)) told[name] = term(own);
  return say(key + suffix, told);
}

function make(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value);
  }
  node.append(...children.flat().filter(child => child !== null));
  return node;
}

// Text from outside, which may be written from right to left.
const outside = (text, attributes) => make("bdi", attributes, text);

// The one of a row of places that an arrow key leads to; null: the key leads nowhere.
function nextPlace(key, place, count, back, forth) {
  const found = { [back]: place - 1, [forth]: place + 1, Home: 0, End: count - 1 }[key];
  return found === undefined ? null : Math.min(count - 1, Math.max(0, found));
}
