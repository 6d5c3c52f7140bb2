// Weights of attention, of which the page holds a byte each: 255 times the square root.
const SQUARES = Float32Array.from({ length: 256 }, (_, step) => (step / 255) ** 2);
const MEAN = "mean";

class Weights {
  constructor(text, [layers, heads], tokens) {
    this.layers = layers;
    this.heads = heads;
    this.tokens = tokens;
    const letters = atob(text);
    this.steps = new Uint8Array(letters.length);
    for (let place = 0; place < letters.length; place++) this.steps[place] = letters.charCodeAt(place);
  }

  // The weights of a head, or of the mean of all, one row of tokens after the other.
  map(layer, head) {
    const size = this.tokens.length ** 2;
    const found = new Float32Array(size);
    const all = head === MEAN ? Array.from({ length: this.heads }, (_, number) => number) : [head];
    for (const number of all) {
      const start = (layer * this.heads + number) * size;
      for (let place = 0; place < size; place++) found[place] += SQUARES[this.steps[start + place]];
    }
    if (all.length > 1) for (let place = 0; place < size; place++) found[place] /= all.length;
    return found;
  }
}

// The numbers of the tokens that a row looks at most.
function mostOf(map, row, count, wanted = 5) {
  const numbers = Array.from({ length: count }, (_, column) => column).filter(column => map[row * count + column] > 0);
  return numbers.sort((a, b) => map[row * count + b] - map[row * count + a]).slice(0, wanted);
}
