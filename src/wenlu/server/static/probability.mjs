// Tokens with their probabilities, from either of the two forms in which the API tells them.

/** {text, share, others: [{text, share}]} each; a character that several tokens make up stands with the last. */
export function tokensOf(logprobs, decoder) {
  if (!logprobs) return [];
  if (logprobs.content) return logprobs.content.map(token => chatToken(token, decoder));
  return (logprobs.tokens ?? []).map((text, index) => ({
    text,
    share: shareOf(logprobs.token_logprobs?.[index]),
    others: likeliest(Object.entries(logprobs.top_logprobs?.[index] ?? {})),
  }));
}

function chatToken(token, decoder) {
  const text = token.bytes ? decoder.decode(new Uint8Array(token.bytes), { stream: true }) : token.token;
  const others = (token.top_logprobs ?? []).map(one => [one.token, one.logprob]);
  return { text, share: shareOf(token.logprob), others: likeliest(others) };
}

function likeliest(pairs) {
  return pairs.map(([text, logprob]) => ({ text, share: shareOf(logprob) })).sort((a, b) => b.share - a.share);
}

function shareOf(logprob) {
  return typeof logprob === "number" ? Math.exp(logprob) : null;
}

/** Of five shades; 4 is nearly sure. */
export function shadeOf(share) {
  if (share === null) return 4;
  return [0.1, 0.3, 0.6, 0.9].filter(bound => share >= bound).length;
}
