// The page: a list of spaces and notes, and the note that is open.

import { element, invite, joinSpace, newSpace } from "./dialogs";
import { OpenNote } from "./note";
import { ask, FromProgram, Live, Peer, Person, Refusal, Space, State } from "./protocol";

const find = <T extends HTMLElement>(selector: string) => document.querySelector<T>(selector)!;
const title = find<HTMLInputElement>("#title");

let state: State | undefined;
let note: OpenNote | undefined;
let welcomed = false;
let people: Person[] = [];
let titleTimer: number | undefined;

const live = new Live(received, (open) => {
  document.body.classList.toggle("away", !open);
  if (open) note?.ask();
  else saved("The program is not running; what you type is kept here");
});

function received(message: FromProgram): void {
  switch (message.type) {
    case "state":
      state = message;
      render();
      break;
    case "error":
      toast(`${message.message}. ${message.hint}`);
      break;
    default:
      if (message.note === note?.id) ofNote(message);
  }
}

function ofNote(message: Exclude<FromProgram, { type: "state" } | { type: "error" }>): void {
  switch (message.type) {
    case "note":
      note!.opened(message);
      if (document.activeElement !== title) title.value = message.title;
      break;
    case "updates":
      note!.updates(message);
      break;
    case "pushed":
      note!.pushed(message);
      break;
    case "title":
      if (document.activeElement !== title || titleTimer === undefined) title.value = message.title;
      break;
    case "people":
      people = message.people;
      note!.people(people);
      renderPeople();
      break;
  }
}

// The note

function open(id: string): void {
  if (note?.id === id) return;
  note?.close();
  people = [];
  find("#editor").replaceChildren();
  note = new OpenNote(id, live, find("#editor"), { saving: (saving) => saved(saving ? "Saving…" : "Saved"), counted });
  note.ask();
  title.disabled = false;
  title.value = listed(id)?.title ?? "";
  document.body.classList.remove("side-open");
  location.hash = id;
  render();
  note.view.focus();
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
  window.clearTimeout(titleTimer);
  titleTimer = window.setTimeout(() => {
    titleTimer = undefined;
    if (note) live.send({ type: "title", note: note.id, title: title.value });
  }, 250);
};
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
  if (!state) return;
  if (!state.spaces.length && !welcomed) welcome();
  find("#spaces").replaceChildren(...state.spaces.map(renderSpace));
  find("#relays").replaceChildren(...relayLines());
  find("#empty").hidden = note !== undefined;
  find("#paths").replaceChildren(...pathLines());
  const wanted = location.hash.slice(1);
  if (!note && wanted && listed(wanted)) open(wanted);
  const info = note && listed(note.id);
  if (info && titleTimer === undefined && document.activeElement !== title) title.value = info.title;
  document.title = info?.title ? `${info.title} – lichen notes` : "lichen notes";
  renderPeople();
}

function renderSpace(space: Space): HTMLElement {
  const add = element("button", { class: "quiet", "aria-label": `New note in ${space.name}`, title: "New note" }, "+ New");
  add.onclick = () => attempt(create(space.id));
  const ticket = element("button", { class: "quiet", "aria-label": `Invite to ${space.name}`, title: "Invite" }, "Invite");
  ticket.onclick = () => attempt(invite(space.id, space.name));
  const buttons = space.role === "owner" || space.role === "admin" ? [ticket, add] : [add];
  const notes = space.notes.map((info) => {
    const link = element("a", { href: `#${info.id}`, class: "note-link" });
    if (note?.id === info.id) link.setAttribute("aria-current", "page");
    link.append(element("span", { class: "note-title" }, info.title || "Untitled"));
    link.append(element("time", { datetime: new Date(info.changed).toISOString() }, ago(info.changed)));
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
    element("header", {}, element("h2", {}, space.name || "A space"), element("span", { class: "buttons" }, ...buttons)),
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

function space(): Space | undefined {
  return state?.spaces.find((one) => one.notes.some((info) => info.id === note?.id));
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
  const me = state?.name ? [badge(state.name, state.colour, "You")] : [];
  find("#people").replaceChildren(...(note ? [...me, ...here] : []));
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
  const dialog = find<HTMLDialogElement>("#dialog");
  dialog.replaceChildren(
    element("h2", {}, "Notes that are yours"),
    element(
      "p",
      { class: "lead" },
      "They live on this device, encrypted, work offline, and merge with the people you share them with. Nobody in between can read them.",
    ),
    element("div", { class: "actions" }, join, start),
  );
  if (!dialog.open) dialog.showModal();
}

function begun(id: string): void {
  const first = state?.spaces.find((one) => one.id === id)?.notes[0];
  if (first) open(first.id);
}

function attempt(work: Promise<void>): void {
  work.catch((error: unknown) => toast(error instanceof Refusal ? `${error.message}. ${error.hint}` : String(error)));
}

let toastTimer: number | undefined;
function toast(text: string): void {
  const shown = find("#toast");
  shown.textContent = text;
  shown.hidden = false;
  window.clearTimeout(toastTimer);
  toastTimer = window.setTimeout(() => (shown.hidden = true), 6000);
}

find("#new-space").onclick = () => newSpace(state?.name ?? "", begun);
find("#join").onclick = () => joinSpace(state?.name ?? "", begun);
find("#open-side").onclick = () => document.body.classList.add("side-open");
find("#close-side").onclick = () => document.body.classList.remove("side-open");
