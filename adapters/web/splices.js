// Deltas as what is done to a string and a selection in it, and found by comparing strings.

import { add, done } from "./delta.js";
import { isLow, isText, size, walk } from "./units.js";

// The one splice that makes a text of another, in UTF-16 units: [at, removed, inserted]. A caret says which of equal
// characters it was.
export function spliceOf(before, after, caret = after.length) {
  const least = Math.min(before.length, after.length);
  const common = (end, most) => {
    while (end < most && before[before.length - 1 - end] === after[after.length - 1 - end]) end++;
    return end;
  };
  let end = common(0, Math.min(least, after.length - caret));
  let at = 0;
  while (at < least - end && before[at] === after[at]) at++;
  end = common(end, least - at);
  if (at && (isLow(before, at) || isLow(after, at))) at--;
  if (end && (isLow(before, before.length - end) || isLow(after, after.length - end))) end--;
  return [at, before.length - at - end, after.slice(at, after.length - end)];
}

export function deltaOf(text, at, gone, come) {
  const made = [];
  for (const step of [size(text.slice(0, at)), come, -size(text.slice(at, at + gone))]) add(made, step);
  return done(made);
}

export const difference = (before, after) => deltaOf(before, ...spliceOf(before, after));

export function apply(text, delta) {
  return applyUnits(text, inUnits(text, delta));
}

// The same delta in UTF-16 units.
export function inUnits(text, delta) {
  let at = 0;
  return delta.map((step) => {
    if (isText(step)) return step;
    const start = at;
    at = walk(text, at, step);
    return step < 0 ? start - at : at - start;
  });
}

export function applyUnits(text, steps) {
  let at = 0;
  let made = "";
  for (const step of steps) {
    if (isText(step)) made += step;
    else if (step > 0) made += text.slice(at, (at += step));
    else at -= step;
  }
  return made + text.slice(at);
}

// Where a place is after a delta in units; with `after` it stays before what follows it, else after what precedes it.
export function moved(place, steps, after) {
  let at = 0;
  let found = place;
  for (const step of steps) {
    if (isText(step)) found += at < place || (at === place && after) ? step.length : 0;
    else if (step > 0) at += step;
    else {
      found -= Math.max(0, Math.min(-step, place - at));
      at -= step;
    }
  }
  return found;
}
