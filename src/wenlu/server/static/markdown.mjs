// Markdown of a model, which may have written anything: markdown-it without HTML, then DOMPurify, then Trusted Types.
import { DOMPurify, MarkdownIt } from "./vendor.mjs";

const markdown = new MarkdownIt({ html: false, linkify: false, breaks: false });
const rules = markdown.renderer.rules;
const ALLOWED = {
  ALLOWED_TAGS: [
    ..."a blockquote br code del em h1 h2 h3 h4 h5 h6 hr li ol p pre s strong sub sup".split(" "),
    ..."table tbody td th thead tr ul".split(" "),
  ],
  ALLOWED_ATTR: ["class", "href", "rel", "start", "target", "title"],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_TRUSTED_TYPE: true,
};

rules.link_open = (tokens, index, options, env, self) => {
  tokens[index].attrSet("target", "_blank");
  tokens[index].attrSet("rel", "noopener noreferrer nofollow");
  return self.renderToken(tokens, index, options);
};
// A picture from elsewhere would tell its host what was said here: it is a link that a person may follow.
rules.image = (tokens, index) => {
  const escape = markdown.utils.escapeHtml;
  const source = tokens[index].attrGet("src") ?? "";
  const rel = "noopener noreferrer nofollow";
  return `<a href="${escape(source)}" target="_blank" rel="${rel}">${escape(tokens[index].content || source)}</a>`;
};
// Columns are aligned by a class, since the policy of the page allows no style in an element.
for (const name of ["td_open", "th_open"]) {
  rules[name] = (tokens, index, options, env, self) => {
    const side = /right|center/.exec(tokens[index].attrGet("style") ?? "");
    tokens[index].attrs = side ? [["class", side[0]]] : null;
    return self.renderToken(tokens, index, options);
  };
}
rules.fence = rules.code_block = (tokens, index) =>
  `<pre><code>${markdown.utils.escapeHtml(tokens[index].content)}</code></pre>\n`;

/** The paragraphs, lists, tables of a text, each as HTML by itself: what a stream adds changes the last one only. */
export function blocksOf(text) {
  const env = {};
  const blocks = [];
  let open = [];
  let depth = 0;
  for (const token of markdown.parse(text, env)) {
    open.push(token);
    depth += token.nesting;
    if (depth === 0) {
      blocks.push(markdown.renderer.render(open, markdown.options, env));
      open = [];
    }
  }
  return blocks;
}

/** The one place of this page that makes elements of text; nothing reaches it but through the sanitiser. */
export function setHtml(element, source) {
  element.innerHTML = DOMPurify.sanitize(source, ALLOWED);
}
