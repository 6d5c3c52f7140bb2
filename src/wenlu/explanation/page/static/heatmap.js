// The map of one layer and head, drawn on a canvas, with the tokens beside it where there is room for them.
const LABELLED = 48;
const LABEL = 84;
const WIDEST = 760;
const MARK = (220 << 16) | (120 << 8) | 40; // as a pixel holds it, without how much of it
let redrawn = null;

// The one map that is shown is drawn anew in another light, and for paper.
for (const media of ["(prefers-color-scheme: dark)", "print"]) {
  matchMedia(media).addEventListener("change", () => redrawn?.());
}

function attentionOf(number, explanation, chosen) {
  const { shape, tokens } = explanation.attention;
  const count = tokens.length;
  const weights = new Weights(document.getElementById(`attention-${number}`).textContent, shape, tokens);
  let map, largest, picture;
  const canvas = make("canvas", {
    tabindex: "0",
    role: "application",
    "aria-label": say("attention.map", { tokens: count }),
    "aria-describedby": "keys",
  });
  const frame = make("div", { class: "map" }, canvas);
  const readout = make("p", { class: "readout", role: "status" });
  const most = make("p", { class: "note" });
  const scale = make("p", { class: "note" });
  const choice = (name, size, extra) => {
    const options = Array.from({ length: size }, (_, one) => make("option", { value: one }, String(one + 1)));
    const select = make("select", null, extra, options);
    select.value = chosen[name];
    select.addEventListener("change", () => choose(name, select.value === MEAN ? MEAN : Number(select.value)));
    return select;
  };
  const layer = choice("layer", weights.layers, null);
  const head = choice("head", weights.heads, make("option", { value: MEAN }, say("attention.mean")));

  function choose(name, value) {
    chosen[name] = value;
    layer.value = chosen.layer;
    head.value = chosen.head;
    look();
    point(chosen.row, chosen.column);
  }

  function look() {
    map = weights.map(chosen.layer, chosen.head);
    largest = map.reduce((most, weight) => Math.max(most, weight), 0);
    picture = null;
    scale.replaceChildren(say("attention.scale", { largest: largest.toFixed(3) }));
  }

  // Where the cells begin, and how large each is.
  function layout() {
    const room = Math.min(WIDEST, frame.clientWidth || WIDEST);
    const label = count <= LABELLED && (room - LABEL) / count >= 11 ? LABEL : 1;
    return { label, cell: Math.min(26, (room - label - 1) / count) };
  }

  function draw() {
    if (!canvas.isConnected) return;
    const { label, cell } = layout();
    const side = label + cell * count + 1;
    const dense = window.devicePixelRatio || 1;
    canvas.width = canvas.height = Math.round(side * dense);
    canvas.style.width = canvas.style.height = `${side}px`;
    const pen = canvas.getContext("2d");
    pen.scale(dense, dense);
    const pixels = Math.max(1, Math.min(count, Math.floor(cell * count * dense)));
    if (picture?.width !== pixels) picture = pictureOf(map, count, largest, pixels);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(picture, label, label, cell * count, cell * count);
    const ink = getComputedStyle(canvas).color;
    if (label > 1) labels(pen, tokens, label, cell, ink);
    pen.strokeStyle = pen.fillStyle = ink;
    pen.strokeRect(label - 0.5, label - 0.5, cell * count + 1, cell * count + 1);
    pen.lineWidth = 2;
    const size = Math.max(cell, 6);
    const middle = place => label + (place + 0.5) * cell - size / 2;
    pen.strokeRect(middle(chosen.column), middle(chosen.row), size, size);
  }

  function point(row, column) {
    [chosen.row, chosen.column] = [row, column];
    draw();
    const weight = map[row * count + column].toFixed(4);
    const numbers = { layer: chosen.layer + 1, head: chosen.head === MEAN ? say("attention.mean") : chosen.head + 1 };
    const names = { from: tokens[row], to: tokens[column], row: row + 1, column: column + 1, weight };
    readout.replaceChildren(say("attention.cell", { ...numbers, ...names }));
    const listed = mostOf(map, row, count).map(place => `${tokens[place]} ${map[row * count + place].toFixed(3)}`);
    most.replaceChildren(say("attention.most", { from: tokens[row], tokens: listed.join(" · ") }));
  }

  canvas.addEventListener("pointermove", event => {
    const { label, cell } = layout();
    const place = offset => Math.floor((offset - label) / cell);
    const [row, column] = [place(event.offsetY), place(event.offsetX)];
    const inside = row >= 0 && column >= 0 && row < count && column < count;
    if (inside && (row !== chosen.row || column !== chosen.column)) point(row, column);
  });
  canvas.addEventListener("keydown", event => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const [down, right] = [{ ArrowUp: -1, ArrowDown: 1 }[event.key], { ArrowLeft: -1, ArrowRight: 1 }[event.key]];
    if (down === undefined && right === undefined) return;
    event.preventDefault();
    const within = (place, size) => Math.min(size - 1, Math.max(0, place));
    if (!event.shiftKey) point(within(chosen.row + (down ?? 0), count), within(chosen.column + (right ?? 0), count));
    else if (down) choose("layer", within(chosen.layer + down, weights.layers));
    else {
      const next = within((chosen.head === MEAN ? -1 : chosen.head) + right + 1, weights.heads + 1);
      choose("head", next === 0 ? MEAN : next - 1);
    }
  });
  look();
  new ResizeObserver(draw).observe(frame);
  redrawn = draw;
  point(chosen.row, chosen.column);
  return make(
    "section",
    { class: "attention" },
    make("h3", null, say("attention")),
    make("p", { class: "note" }, say("attention.note")),
    make(
      "div",
      { class: "choices" },
      make("label", null, say("attention.layer"), " ", layer),
      make("label", null, say("attention.head"), " ", head),
    ),
    frame,
    readout,
    most,
    make("p", { class: "note", id: "keys" }, say("attention.keys")),
    scale,
    make("p", { class: "note" }, say("attention.precision")),
  );
}

// The map in so many pixels a side, at most one a weight; of weights that share one the largest is seen.
function pictureOf(map, count, largest, pixels) {
  const most = new Float32Array(pixels ** 2);
  const share = pixels / count;
  for (let row = 0, place = 0; row < count; row++) {
    const start = Math.floor(row * share) * pixels;
    for (let column = 0; column < count; column++, place++) {
      const pixel = start + Math.floor(column * share);
      if (map[place] > most[pixel]) most[pixel] = map[place];
    }
  }
  const picture = make("canvas", { width: pixels, height: pixels });
  const pen = picture.getContext("2d");
  const image = pen.createImageData(pixels, pixels);
  const drawn = new Uint32Array(image.data.buffer);
  for (let pixel = 0; pixel < most.length; pixel++) {
    drawn[pixel] = (Math.round(255 * Math.sqrt(most[pixel] / (largest || 1))) << 24) | MARK;
  }
  pen.putImageData(image, 0, 0);
  return picture;
}

function labels(pen, tokens, label, cell, ink) {
  pen.fillStyle = ink;
  pen.font = `${Math.min(13, cell - 1)}px system-ui, sans-serif`;
  pen.textBaseline = "middle";
  tokens.forEach((token, place) => {
    const letters = Array.from(token.trim());
    const text = letters.length > 10 ? `${letters.slice(0, 9).join("")}…` : letters.join("");
    const middle = label + (place + 0.5) * cell;
    pen.textAlign = "right";
    pen.fillText(text, label - 6, middle, label - 8);
    pen.save();
    pen.translate(middle, label - 6);
    pen.rotate(-Math.PI / 2);
    pen.textAlign = "left";
    pen.fillText(text, 0, 0, label - 8);
    pen.restore();
  });
}
