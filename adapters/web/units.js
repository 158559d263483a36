// Characters of a text as JavaScript has it, in UTF-16 units, and as the program counts them, in code points.

export const isText = (step) => typeof step === "string";

export const isLow = (text, at) => (text.charCodeAt(at) & 0xfc00) === 0xdc00;

// How many code points a text has.
export function size(text) {
  let count = text.length;
  for (let at = 0; at < text.length; at++) if (isLow(text, at)) count--;
  return count;
}

// Where so many code points after a place end, whatever the sign of the count.
export function walk(text, at, count) {
  for (let left = Math.abs(count); left > 0; left--) at += isLow(text, at + 1) ? 2 : 1;
  return at;
}
