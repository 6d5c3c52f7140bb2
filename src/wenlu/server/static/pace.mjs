// Tokens come faster than anybody reads, and the machine that paints them may be the one that makes them.

const PAUSE = 50;

/** `later` paints once for all that comes within a twentieth of a second, `now` at once. */
export function paced(paint) {
  let timer = null;
  const now = () => {
    clearTimeout(timer);
    timer = null;
    paint();
  };
  return {
    later: () => {
      timer ??= setTimeout(now, PAUSE);
    },
    now,
  };
}
