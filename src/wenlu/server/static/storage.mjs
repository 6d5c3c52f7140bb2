// What the browser keeps for the page; a browser that keeps nothing is no error.

export function read(store, name, fallback) {
  try {
    const text = store.getItem(`wenlu.${name}`);
    return text === null ? fallback : JSON.parse(text);
  } catch {
    return fallback;
  }
}

/** Whether it was kept; a store that is full or forbidden keeps nothing. */
export function keep(store, name, value) {
  try {
    store.setItem(`wenlu.${name}`, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

export function forget(store, name) {
  try {
    store.removeItem(`wenlu.${name}`);
  } catch {
    // Nothing was kept.
  }
}
