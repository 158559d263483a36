// The page: a list of spaces and notes, and the note that is open.

import { element, invite, joinSpace, newSpace, show } from "./dialogs";
import { OpenNote } from "./note";
import { ask, FromProgram, Live, Peer, Person, reason, Space, State } from "./protocol";

const find = <T extends HTMLElement>(selector: string) => document.querySelector<T>(selector)!;
const title = find<HTMLInputElement>("#title");

let state: State | undefined;
let note: OpenNote | undefined;
/** The open note, and those that were left while their last words are on their way to the disk. */
const notes = new Map<string, OpenNote>();
let welcomed = false;
let people: Person[] = [];
let titleTimer: number | undefined;
/** The title was changed here, and the program has not been told. */
let titleChanged = false;
/** A button of the mouse is down: were what is under it replaced, its click would go nowhere. */
let pressed = false;

const live = new Live(received, (open) => {
  document.body.classList.toggle("away", !open);
  if (!open) saved("The program is not running; what you type is kept here");
  else {
    for (const one of notes.values()) one.ask();
    sendTitle();
  }
});

function received(message: FromProgram): void {
  switch (message.type) {
    case "state":
      state = message;
      render();
      break;
    case "error":
      toast(reason(message));
      notes.get(message.note)?.refused();
      break;
    default: {
      const found = notes.get(message.note);
      if (found) ofNote(found, message);
    }
  }
}

function ofNote(of: OpenNote, message: Exclude<FromProgram, { type: "state" } | { type: "error" }>): void {
  switch (message.type) {
    case "note":
      of.opened(message);
      if (of === note) showTitle(message.title);
      break;
    case "updates":
      of.updates(message);
      break;
    case "pushed":
      of.pushed(message);
      break;
    case "title":
      if (of === note) showTitle(message.title);
      break;
    case "people":
      if (of !== note) break;
      people = message.people;
      of.people(people);
      renderPeople();
      break;
  }
}

// The note

function open(id: string): void {
  if (note?.id === id) return;
  sendTitle();
  const left = note;
  people = [];
  find("#editor").replaceChildren();
  note = notes.get(id) ?? begin(id);
  find("#editor").replaceChildren(note.view.dom);
  if (left && !left.unsaved) close(left);
  titleChanged = false;
  title.disabled = !mayWrite(space());
  title.value = listed(id)?.title ?? "";
  document.body.classList.remove("side-open");
  location.hash = id;
  render();
  note.view.focus();
}

function begin(id: string): OpenNote {
  const made: OpenNote = new OpenNote(id, live, mayWrite(spaceOf(id)), find("#editor"), {
    saving: (saving) => {
      if (made === note) saved(saving ? "Saving…" : "Saved");
      else if (!saving) close(made);
    },
    counted: (words) => {
      if (made === note) counted(words);
    },
  });
  notes.set(id, made);
  made.ask();
  return made;
}

function close(left: OpenNote): void {
  notes.delete(left.id);
  left.close();
}

function listed(id: string) {
  return state?.spaces.flatMap((space) => space.notes).find((info) => info.id === id);
}

function counted(words: number): void {
  find("#count").textContent = words === 1 ? "1 word" : `${words} words`;
}

function saved(text: string): void {
  find("#saved").textContent = text;
}

title.oninput = () => {
  titleChanged = true;
  window.clearTimeout(titleTimer);
  titleTimer = window.setTimeout(sendTitle, 250);
};

function sendTitle(): void {
  if (note && titleChanged) titleChanged = !live.send({ type: "title", note: note.id, title: title.value });
}

/** The title as the program has it, unless another one is being typed here. */
function showTitle(text: string): void {
  if (!titleChanged && title.value !== text) title.value = text;
}

title.onkeydown = (event) => {
  if (event.key === "Enter") note?.view.focus();
};

async function create(space: string): Promise<void> {
  const made = await ask<{ note: string }>(`/api/spaces/${space}/notes`, { title: "" });
  open(made.note);
  title.focus();
}

// The frame

function render(): void {
  if (!state || pressed) return;
  if (!state.spaces.length && !welcomed) welcome();
  update(find("#spaces"), state.spaces.map(renderSpace));
  update(find("#relays"), relayLines());
  find("#empty").hidden = note !== undefined;
  find("#empty").textContent = state.spaces.length ? "Choose a note, or begin one." : "Start a space, or join one with a ticket.";
  title.hidden = note === undefined;
  update(find("#paths"), pathLines());
  const wanted = location.hash.slice(1);
  if (!note && wanted && listed(wanted)) open(wanted);
  const info = note && listed(note.id);
  if (info) showTitle(info.title);
  document.title = info?.title ? `${info.title} – lichen notes` : "lichen notes";
  renderPeople();
}

/** Put what is new in place of what is shown, unless it looks the same: a click or the focus in it is not lost. */
function update(place: HTMLElement, made: Node[]): void {
  if (element("div", {}, ...made).innerHTML === place.innerHTML) return;
  const focused = place.contains(document.activeElement) ? document.activeElement!.id : "";
  place.replaceChildren(...made);
  if (focused) document.getElementById(focused)?.focus();
}

function renderSpace(space: Space): HTMLElement {
  const add = element("button", { id: `new-${space.id}`, class: "quiet", "aria-label": `New note in ${space.name}`, title: "New note" }, "+ New");
  add.onclick = () => attempt(create(space.id));
  const ticket = element("button", { id: `invite-${space.id}`, class: "quiet", "aria-label": `Invite to ${space.name}`, title: "Invite" }, "Invite");
  ticket.onclick = () => attempt(invite(space.id, space.name));
  const buttons = [...(space.role === "owner" || space.role === "admin" ? [ticket] : []), ...(mayWrite(space) ? [add] : [])];
  const notes = space.notes.map((info) => {
    const link = element("a", { id: `note-${info.id}`, href: `#${info.id}`, class: "note-link" });
    if (note?.id === info.id) link.setAttribute("aria-current", "page");
    link.append(element("span", { class: "note-title", dir: "auto", title: info.title }, info.title || "Untitled"));
    link.append(element("time", { datetime: new Date(info.changed).toISOString().slice(0, 16) + "Z" }, ago(info.changed)));
    link.onclick = (event) => {
      event.preventDefault();
      open(info.id);
    };
    return element("li", {}, link);
  });
  const list = notes.length ? element("ul", {}, ...notes) : element("p", { class: "hint" }, "No notes yet.");
  return element(
    "section",
    { class: "space" },
    element("header", {}, element("h2", { title: space.name }, space.name || "A space"), element("span", { class: "buttons" }, ...buttons)),
    list,
  );
}

function ago(ms: number): string {
  const date = new Date(ms);
  const today = new Date().toDateString() === date.toDateString();
  return today
    ? date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
    : date.toLocaleDateString([], { day: "numeric", month: "short" });
}

function relayLines(): Node[] {
  const relays = state!.relays;
  if (!relays.length) return [document.createTextNode("No relay: this device keeps its notes to itself.")];
  return relays.map((relay) => {
    const words = relay.state !== "connected" ? "offline, trying again" : state!.upToDate ? "up to date" : "syncing…";
    const kind = relay.state !== "connected" ? "off" : state!.upToDate ? "on" : "busy";
    return element("span", { class: `dot ${kind}`, title: `${relay.url} ${relay.error}` }, words);
  });
}

function spaceOf(id: string | undefined): Space | undefined {
  return state?.spaces.find((one) => one.notes.some((info) => info.id === id));
}

function space(): Space | undefined {
  return spaceOf(note?.id);
}

/** In a space that is not known yet, the program is the judge. */
function mayWrite(space: Space | undefined): boolean {
  return space === undefined || (space.role !== "" && space.role !== "reader");
}

const PATHS: Record<Peer["via"], string> = { direct: "direct", relay: "through the relay", none: "away" };

function pathLines(): Node[] {
  return (space()?.peers ?? []).map((peer) => {
    const dot = element("span", { class: `path ${peer.via}`, title: peer.path }, `${peer.name}: ${PATHS[peer.via]}`);
    return dot;
  });
}

function renderPeople(): void {
  const here = people.map((person) => badge(person.name, person.colour, `${person.name} is here`));
  const own = space();
  const me = state?.name && own ? [badge(state.name, own.colour, "You")] : [];
  update(find("#people"), note ? [...me, ...here] : []);
}

function badge(name: string, colour: string, label: string): HTMLElement {
  const made = element("li", { title: label, "aria-label": label }, [...name][0]?.toUpperCase() ?? "?");
  made.style.setProperty("--colour", colour);
  return made;
}

function welcome(): void {
  welcomed = true;
  const start = element("button", { class: "primary" }, "Start a space");
  start.onclick = () => newSpace(state?.name ?? "", begun);
  const join = element("button", { class: "quiet" }, "Join with a ticket");
  join.onclick = () => joinSpace(state?.name ?? "", begun);
  const lead =
    "They live on this device, encrypted, work offline, and merge with the people you share them with. Nobody in between can read them.";
  show(
    element(
      "div",
      {},
      element("h2", {}, "Notes that are yours"),
      element("p", { class: "lead" }, lead),
      element("div", { class: "actions" }, join, start),
    ),
  );
}

function begun(id: string): void {
  const first = state?.spaces.find((one) => one.id === id)?.notes[0];
  if (first) open(first.id);
}

function attempt(work: Promise<void>): void {
  work.catch((error: unknown) => toast(reason(error)));
}

let toastTimer: number | undefined;
function toast(text: string): void {
  const shown = find("#toast");
  shown.textContent = text;
  shown.hidden = false;
  window.clearTimeout(toastTimer);
  toastTimer = window.setTimeout(() => (shown.hidden = true), 6000);
}

function released(): void {
  if (!pressed) return;
  pressed = false;
  window.setTimeout(render); // the click comes first
}

window.onpointerdown = () => (pressed = true);
for (const end of ["pointerup", "pointercancel", "blur"]) window.addEventListener(end, released);
window.onhashchange = () => {
  const wanted = location.hash.slice(1);
  if (listed(wanted)) open(wanted);
};
window.onbeforeunload = (event) => {
  if ([...notes.values()].some((one) => one.unsaved)) event.preventDefault();
};
find("#new-space").onclick = () => newSpace(state?.name ?? "", begun);
find("#join").onclick = () => joinSpace(state?.name ?? "", begun);
find("#open-side").onclick = () => document.body.classList.add("side-open");
find("#close-side").onclick = () => document.body.classList.remove("side-open");
