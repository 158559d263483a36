import { complain, follow, guarded } from "./connection.js";
import { compose, inverse, transform } from "./delta.js";
import { apply, applyUnits, deltaOf, difference, inUnits, moved, spliceOf } from "./splices.js";
import { size } from "./units.js";

// A textarea knows no carriage returns: something invisible stands for them.
const STAND_IN = "\u2063";
const visible = (text) => text.replaceAll("\r", STAND_IN);

// Keeps a textarea and a text of the program the same, while both are edited.
export function bindText(area, url, name, params = {}, { onError = complain, onState = () => {} } = {}) {
  return new Bound(area, url, { name, params }, onError, onState);
}

const bound = new WeakSet(); // textareas
const TOGETHER_MS = 1000;
const MOST_STEPS = 500;
const MOST_CHARACTERS = 262144; // as the program has it in bounds.py

class Bound {
  typing = new AbortController();
  saving = new AbortController();
  client = crypto.getRandomValues(new Uint32Array(4)).join("");
  heads = [];
  text = ""; // as the program has it: `shown` is this with `flying` and `gathered`
  shown = "";
  flying;
  gathered = [];
  number = 0;
  version = 0;
  connected = false;
  composing;
  waiting = [];
  undos = [];
  redos = [];
  locked; // by this
  gone; // the textarea
  over; // no more comes of it
  typed = 0; // when, and where it ended
  place = 0;

  constructor(area, url, what, onError, onState) {
    // another element would strip what it cannot show, as if a person had taken it away
    if (area?.localName !== "textarea") throw new Error(`bindText is for a textarea, not ${area?.localName ?? area}`);
    if (bound.has(area)) throw new Error("this textarea is bound already: close() it first");
    bound.add(area);
    Object.assign(this, { area, what, onError: guarded(onError), onState: guarded(onState) });
    const on = (target, kind, call, { signal } = this.typing, capture = false) =>
      target.addEventListener(kind, call, { signal, capture });
    on(area, "input", () => this.read());
    on(area, "compositionstart", () => (this.composing = true));
    on(area, "compositionend", () => this.composed());
    on(area, "keydown", (event) => {
      const key = (event.ctrlKey || event.metaKey) && !event.altKey && !event.isComposing && event.key.toLowerCase();
      if (key !== "z" && key !== "y") return;
      event.preventDefault();
      if (key === "y" || event.shiftKey) this.redo();
      else this.undo();
    });
    on(area, "beforeinput", (event) => {
      const step = { historyUndo: "undo", historyRedo: "redo" }[event.inputType];
      if (step) event.preventDefault(), this[step]();
    });
    // the form's reset comes after its event, and would empty the area for everybody
    const reset = ({ target }) => target === area.form && (area.defaultValue = area.value);
    for (const root of [window, area.getRootNode()]) on(root, "reset", reset, this.typing, true);
    on(window, "beforeunload", (event) => this.saved || event.preventDefault(), this.saving);
    area.autocomplete = "off"; // or a browser that goes back to the page puts back what stood there, as if it was typed
    area.value = "";
    this.lock(true);
    this.end = follow(url, this);
  }

  // Everything that was typed is on the program's disk.
  get saved() {
    return !this.flying && !this.gathered.length;
  }

  // Lets the textarea go at once, and the text when all that was typed is saved, or can be no more: resolves to which.
  close() {
    if (this.closing) return this.closing;
    this.closing = new Promise((done) => (this.closed = done));
    this.composed();
    this.lock(false);
    this.typing.abort();
    bound.delete(this.area);
    this.gone = true;
    this.finish();
    return this.closing;
  }

  finish() {
    if (!this.saved && !this.over) return;
    this.end();
    this.saving.abort();
    this.closed(this.saved);
  }

  // Whether nobody may type now; what the page has locked itself stays so.
  lock(locked) {
    const { area } = this;
    if (this.gone || (locked && area.readOnly)) return;
    if (locked || this.locked) area.readOnly = this.locked = locked;
  }

  // What comes from the program

  begin() {
    this.send({ do: "text", ...this.what, client: this.client, heads: this.heads, flying: this.flying ? this.number : 0 });
  }

  lost() {
    this.connected = false;
    this.waiting = [];
    this.tell();
  }

  failed(error, final) {
    this.over = final;
    if (final) this.lock(true);
    this.onError(error);
    if (this.gone) this.finish();
  }

  told(message) {
    if (this.composing) this.waiting.push(message);
    else this.take(message);
  }

  take(message) {
    this.read();
    const { opened, changed, taken, refused, writable } = message;
    if (writable !== undefined) this.lock(!writable);
    if (opened) this.open(opened);
    else if (changed) this.remote(changed);
    else if (taken) this.landed(this.flying);
    else if (refused) {
      this.flying = null;
      this.gathered = [];
      this.replaced(this.shown, message.text);
      this.onError(message.error);
    }
    this.heads = message.heads;
    this.version = message.version;
    if (opened && this.flying) this.fly();
    if (!this.flush() && this.saved) this.send({ do: "saw", version: this.version });
    this.tell();
  }

  open({ text, steps, taken }) {
    this.connected = true;
    this.over = false;
    if (steps) {
      this.remote(steps[0]);
      if (!taken) return;
      // the program may have put it elsewhere than this page would have
      const here = apply(this.text, this.flying);
      const there = apply(this.text, steps[1]);
      this.landed(this.flying);
      this.replaced(here, there);
      this.remote(steps[2]);
    } else {
      if (taken) this.landed(this.flying);
      this.replaced(this.text, text);
    }
  }

  landed(delta) {
    this.text = apply(this.text, delta);
    this.flying = null;
  }

  replaced(before, after) {
    this.text = before;
    this.remote(difference(before, after));
    this.text = after;
  }

  // The program's text has changed: past what is not there yet, the shown text does so too.
  remote(delta) {
    this.text = apply(this.text, delta);
    if (this.flying) [delta, this.flying] = transform(delta, this.flying);
    [delta, this.gathered] = transform(delta, this.gathered);
    for (const stack of [this.undos, this.redos]) {
      let past = delta;
      for (let at = stack.length - 1; at >= 0; at--) [past, stack[at]] = transform(past, stack[at]);
    }
    this.show(delta);
  }

  show(delta, chosen) {
    const { area, shown } = this;
    const steps = inUnits(shown, delta);
    const after = applyUnits(shown, steps);
    if (after === shown) return;
    const { selectionStart: start, selectionEnd: end, selectionDirection: way, scrollTop } = area;
    const [at, gone, come] = spliceOf(shown, after);
    this.shown = after;
    if (this.gone) return;
    area.setRangeText(visible(come), at, at + gone, "preserve");
    if (chosen) area.setSelectionRange(at + come.length, at + come.length);
    else area.setSelectionRange(moved(start, steps, start < end), moved(end, steps, false), way);
    area.scrollTop = scrollTop;
    this.place = moved(this.place, steps, false);
  }

  // What comes from the person

  composed() {
    this.composing = false;
    this.read();
    this.waiting.splice(0).forEach((message) => this.take(message));
  }

  read() {
    const { area, shown } = this;
    if (this.composing || this.gone) return;
    const now = area.value.toWellFormed?.() ?? area.value;
    const before = visible(shown);
    if (now === before) return;
    let [at, gone, come] = spliceOf(before, now, area.selectionEnd);
    if (now.length > Math.max(before.length, MOST_CHARACTERS) && size(now) > MOST_CHARACTERS) {
      area.setRangeText(before.slice(at, at + gone), at, at + come.length, "end");
      const message = `a text with a page has at most ${MOST_CHARACTERS} characters`;
      return this.onError({ type: "LimitExceeded", message, hint: "put the rest into another text" });
    }
    if (before !== shown) come = come.replaceAll(STAND_IN, "\r");
    const delta = deltaOf(shown, at, gone, come);
    const here = at === this.place || at + gone === this.place;
    const together = here && Date.now() - this.typed < TOGETHER_MS && this.undos.length;
    const back = this.edited(delta);
    this.undos.push(together ? compose(back, this.undos.pop()) : back);
    if (this.undos.length > MOST_STEPS) this.undos.shift();
    this.redos = [];
    this.typed = Date.now();
    this.place = at + come.length;
    this.shown = shown.slice(0, at) + come + shown.slice(at + gone);
    this.flush();
    this.tell();
  }

  edited(delta) {
    this.gathered = compose(this.gathered, delta);
    return inverse(this.shown, delta);
  }

  undo(from = this.undos, to = this.redos) {
    this.read();
    const delta = this.composing || this.gone || this.area.readOnly ? null : from.pop();
    if (!delta) return;
    this.typed = 0;
    to.push(this.edited(delta));
    this.show(delta, true);
    this.flush();
    this.tell();
  }

  redo() {
    this.undo(this.redos, this.undos);
  }

  flush() {
    if (!this.connected || this.flying || !this.gathered.length) return !!this.flying;
    this.flying = this.gathered;
    this.gathered = [];
    this.number++;
    return this.fly();
  }

  fly() {
    return this.send({ do: "edit", number: this.number, seen: this.version, delta: this.flying });
  }

  tell() {
    if (this.gone) return this.finish();
    this.onState({ connected: this.connected, saved: this.saved });
  }
}
