// Deltas, as in lichen_adapters/text/delta.py: a number keeps so many code points, a negative one deletes them, a string
// is inserted. The program does the same with the same deltas.

import { isText, size, walk } from "./units.js";

export function add(delta, step) {
  const last = delta.at(-1);
  if (!step) return;
  if (isText(step)) {
    const at = delta.length - (!isText(last) && last < 0);
    if (isText(delta[at - 1])) delta[at - 1] += step;
    else delta.splice(at, 0, step);
  } else if (delta.length && !isText(last) && last > 0 === step > 0) delta[delta.length - 1] += step;
  else delta.push(step);
}

export function done(delta) {
  const last = delta.at(-1);
  if (!isText(last) && last > 0) delta.pop();
  return delta;
}

class Steps {
  at = 0;

  constructor(delta) {
    this.delta = delta;
    this.go();
  }

  go() {
    this.step = this.delta[this.at++] ?? Infinity;
    this.more = this.at <= this.delta.length;
    this.inserts = isText(this.step);
    this.deletes = this.step < 0 && !this.inserts;
    this.left = this.inserts ? size(this.step) : Math.abs(this.step);
  }

  // So many that are kept or deleted, or of an inserted text.
  take(count) {
    let taken = count;
    if (this.inserts) {
      const end = walk(this.step, 0, count);
      taken = this.step.slice(0, end);
      this.step = this.step.slice(end);
    }
    this.left -= count;
    if (!this.left) this.go();
    return taken;
  }
}

export function compose(one, then) {
  const a = new Steps(one);
  const b = new Steps(then);
  const made = [];
  while (a.more || b.more) {
    if (a.deletes) add(made, -a.take(a.left));
    else if (b.inserts) add(made, b.take(b.left));
    else {
      const count = Math.min(a.left, b.left);
      const { inserts } = a;
      const { deletes } = b;
      b.take(count);
      const taken = a.take(count);
      if (!inserts || !deletes) add(made, inserts ? taken : deletes ? -count : count);
    }
  }
  return done(made);
}

// Each as it is after the other. Where both insert at one place, what `one` inserts comes first.
export function transform(one, other) {
  const a = new Steps(one);
  const b = new Steps(other);
  const left = [];
  const right = [];
  while (a.more || b.more) {
    if (a.inserts || b.inserts) {
      const [from, to, back] = a.inserts ? [a, left, right] : [b, right, left];
      add(back, from.left);
      add(to, from.take(from.left));
    } else {
      const count = Math.min(a.left, b.left);
      if (!b.deletes) add(left, a.deletes ? -count : count);
      if (!a.deletes) add(right, b.deletes ? -count : count);
      a.take(count);
      b.take(count);
    }
  }
  return [done(left), done(right)];
}

export function inverse(text, delta) {
  const made = [];
  let at = 0;
  for (const step of delta) {
    const end = isText(step) ? at : walk(text, at, step);
    add(made, isText(step) ? -size(step) : step > 0 ? step : text.slice(at, end));
    at = end;
  }
  return done(made);
}
