// Pictures that a user shows: read in the browser, sent as they are.

/** Bytes of a file at most: a request holds it in base64, beside all else. */
export const LARGEST = 5 * 2 ** 20;

/** The first picture among files, if there is one. */
export function pictureAmong(files) {
  return [...(files ?? [])].find(file => file.type.startsWith("image/")) ?? null;
}

/** A data URL of the file; rejects where it cannot be read. */
export function dataUrlOf(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

/** What a message says, as the API reads it. */
export function contentOf(text, picture) {
  if (!picture) return text;
  const shown = { type: "image_url", image_url: { url: picture } };
  return text ? [shown, { type: "text", text }] : [shown];
}
