// Server-sent events from the body of an answer, wherever the network cut it into pieces.

/** The data of each event in order; leaving the loop early lets go of the connection. */
export async function* eventData(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
      const blocks = rest.split(/\r?\n\r?\n/);
      rest = blocks.pop();
      for (const block of blocks) {
        const data = dataOf(block);
        if (data !== null) yield data;
      }
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function dataOf(block) {
  const lines = block.split(/\r?\n/).filter(line => line.startsWith("data:"));
  return lines.length ? lines.map(line => line.slice(5).replace(/^ /, "")).join("\n") : null;
}
