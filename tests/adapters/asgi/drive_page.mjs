// One page without a browser: a textarea that is a string, a socket that is these streams. Each line is a command, and
// each is answered with a line: what the page has sent, and what it shows.

import { createInterface } from "node:readline";

const page = { sent: [], failed: [], reported: [], pauses: [] };

class Area extends EventTarget {
  localName = "textarea";
  value = "";
  selectionStart = 0;
  selectionEnd = 0;
  selectionDirection = "forward";
  scrollTop = 0;
  getRootNode = () => window;

  setRangeText(come, start, end) {
    this.value = this.value.slice(0, start) + come + this.value.slice(end);
  }

  setSelectionRange(start, end) {
    this.selectionStart = start;
    this.selectionEnd = end;
  }
}

class Socket {
  constructor() {
    this.readyState = 0;
    page.socket = this;
  }

  send(message) {
    page.sent.push(JSON.parse(message));
  }

  close() {}
}

Object.assign(globalThis, {
  WebSocket: Socket,
  window: new EventTarget(),
  location: { href: "http://127.0.0.1/" },
  setTimeout: (call, pause) => {
    page.again = call;
    page.pauses.push(pause);
  },
  reportError: (error) => page.reported.push(error.message),
});

const { bindText } = await import("../../../adapters/web/text.js");
const delta = await import("../../../adapters/web/delta.js");
const splices = await import("../../../adapters/web/splices.js");

const commands = {
  begin({ fails = false, beside = false }) {
    if (beside) page.first = page.bound;
    else page.bound?.close();
    page.area = new Area();
    commands.bind({ fails });
  },
  bind({ fails = false, to = page.area }) {
    const told = (keep) => (what) => {
      keep(what);
      if (fails) throw new Error("a mistake of the page's own");
    };
    const onError = told((error) => page.failed.push(error));
    const onState = told((state) => (page.state = state));
    try {
      page.bound = bindText(to, "/lichen", "notes", {}, { onError, onState });
    } catch (error) {
      page.reported.push(error.message);
    }
  },
  close({ first = false }) {
    (first ? page.first : page.bound).close().then((saved) => (page.closed = saved));
  },
  open() {
    page.socket.readyState = 1;
    page.socket.onopen();
  },
  lose({ code = 1006 }) {
    page.again = null;
    page.socket.readyState = 3;
    page.socket.onclose({ code, reason: "" });
    page.again?.();
  },
  again() {
    page.again();
  },
  told({ message }) {
    page.socket.onmessage({ data: JSON.stringify(message) });
  },
  type({ at, gone, come }) {
    const { area } = page;
    area.value = area.value.slice(0, at) + come + area.value.slice(at + gone);
    area.setSelectionRange(at + come.length, at + come.length);
    area.dispatchEvent(new Event("input"));
  },
  compose({ kind }) {
    page.area.dispatchEvent(new Event(kind));
  },
  fix({ fixed }) {
    page.area.readOnly = fixed;
  },
  undo() {
    page.bound.undo();
  },
  redo() {
    page.bound.redo();
  },
  select({ start, end }) {
    page.area.setSelectionRange(start, end);
  },
  deltas({ text, one, other, then }) {
    page.deltas = {
      transform: delta.transform(one, other),
      compose: delta.compose(one, then),
      apply: splices.apply(text, one),
      back: splices.apply(splices.apply(text, one), delta.inverse(text, one)),
    };
  },
  difference({ before, after, caret }) {
    page.deltas = splices.apply(before, splices.deltaOf(before, ...splices.spliceOf(before, after, caret)));
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, ...more } = JSON.parse(line);
  commands[name](more);
  await null; // so that promises are kept
  const { area, bound, sent, failed, reported, pauses, state, closed } = page;
  const { value, selectionStart, selectionEnd, readOnly } = area ?? {};
  const shown = { value, chosen: [selectionStart, selectionEnd], readOnly, saved: bound?.saved };
  const [news, rest] = [{ sent, failed, reported, pauses }, { deltas: page.deltas, state, closed, ...shown }];
  console.log(JSON.stringify({ ...news, ...rest }));
  for (const list of Object.values(news)) list.splice(0);
}
