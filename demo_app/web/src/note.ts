// One open note: the editor, and its side of the collab protocol.

import { collab, getSyncedVersion, receiveUpdates, sendableUpdates } from "@codemirror/collab";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { markdown } from "@codemirror/lang-markdown";
import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { Annotation, ChangeSet, EditorState, Extension, Text } from "@codemirror/state";
import { EditorView, drawSelection, keymap, placeholder } from "@codemirror/view";
import { eachLineItsDirection } from "./direction";
import { tags } from "@lezer/highlight";
import { others, showPeople } from "./people";
import type { FromProgram, Live, Person } from "./protocol";

type Opened = Extract<FromProgram, { type: "note" }>;
type Updates = Extract<FromProgram, { type: "updates" }>;
type Pushed = Extract<FromProgram, { type: "pushed" }>;

const look = HighlightStyle.define([
  { tag: tags.heading1, fontSize: "1.5em", fontWeight: "700" },
  { tag: tags.heading2, fontSize: "1.25em", fontWeight: "700" },
  { tag: tags.heading, fontWeight: "700" },
  { tag: tags.strong, fontWeight: "700" },
  { tag: tags.emphasis, fontStyle: "italic" },
  { tag: tags.strikethrough, textDecoration: "line-through" },
  { tag: tags.link, textDecoration: "underline" },
  { tag: tags.monospace, fontFamily: "ui-monospace, monospace", fontSize: "0.92em" },
  { tag: [tags.processingInstruction, tags.contentSeparator], opacity: "0.45" },
  { tag: tags.quote, opacity: "0.8" },
]);

const fromProgram = Annotation.define<boolean>();

export interface Watcher {
  /** Something unsaved is there, or everything is on disk. */
  saving(saving: boolean): void;
  counted(words: number): void;
}

/** Until a push that the program could not take is tried again. */
const AGAIN_MS = 3000;

export class OpenNote {
  readonly view: EditorView;
  /** This page's name in the collab protocol: another one for every note that is opened. */
  readonly client = crypto.randomUUID().replaceAll("-", "");
  private epoch = "";
  private heads: string[] = [];
  /** The text as the program has it, at the version that is synced. */
  private synced = Text.empty;
  private pushing = false;
  /** How many updates of this page the program has confirmed. */
  private confirmed = 0;
  private cursorTimer: number | undefined;
  /** Until it has run out nothing is pushed: what was refused would be refused again and again. */
  private againTimer: number | undefined;

  constructor(
    readonly id: string,
    private readonly live: Live,
    private readonly writable: boolean,
    parent: HTMLElement,
    private readonly watcher: Watcher,
  ) {
    this.view = new EditorView({ parent, state: this.fresh("", 0) });
  }

  /** Something that was typed is not on disk yet. */
  get unsaved(): boolean {
    return sendableUpdates(this.view.state).length > 0 || this.pushing;
  }

  private fresh(text: string, version: number): EditorState {
    return EditorState.create({ doc: Text.of(text.split("\n")), extensions: this.extensions(version) });
  }

  private extensions(version: number): Extension {
    return [
      collab({ startVersion: version, clientID: this.client }),
      history(),
      drawSelection(),
      EditorState.readOnly.of(!this.writable),
      EditorView.lineWrapping,
      eachLineItsDirection(),
      EditorState.lineSeparator.of("\n"),
      markdown(),
      syntaxHighlighting(look),
      placeholder("Write something…"),
      keymap.of([...defaultKeymap, ...historyKeymap, indentWithTab]),
      EditorView.cspNonce.of(document.querySelector<HTMLMetaElement>("meta[name=lichen-nonce]")?.content ?? ""),
      EditorView.contentAttributes.of({ "aria-label": "Text of the note", spellcheck: "true" }),
      others(),
      EditorView.updateListener.of((update) => {
        if (update.docChanged) this.changed();
        if (update.docChanged || update.selectionSet) this.cursorSoon();
      }),
    ];
  }

  /** Ask the program for the note, telling what this page knows of it. */
  ask(): void {
    this.pushing = false;
    if (this.epoch) {
      const version = getSyncedVersion(this.view.state);
      this.live.send({ type: "pull", note: this.id, client: this.client, epoch: this.epoch, version });
    } else {
      this.live.send({ type: "open", note: this.id, client: this.client });
    }
  }

  /** The program has sent the whole note: at first, and when it was started anew. */
  opened(opened: Opened): void {
    if (!this.epoch) {
      this.replaceState(opened, this.unconfirmed(0)); // what was typed before this answer came
      return;
    }
    if (opened.epoch === this.epoch && this.heads.join() === opened.heads.join()) return;
    if (opened.saved === 0 && this.heads.length && opened.epoch !== this.epoch && !this.asked) {
      // the program was started anew: ask which of this page's updates its last run had taken
      this.asked = true;
      this.live.send({ type: "open", note: this.id, client: this.client, heads: this.heads });
      return;
    }
    this.asked = false;
    this.replaceState(opened, this.unconfirmed(opened.saved));
  }

  private asked = false;

  /** The updates that the program does not have, and the text that they start from. */
  private unconfirmed(saved: number): ChangeSet[] {
    const pending = sendableUpdates(this.view.state).map((update) => update.changes);
    return pending.slice(Math.max(0, saved - this.confirmed));
  }

  /** Take the program's text, and do this page's own unconfirmed changes on top of it again. */
  private replaceState(opened: Opened, pending: ChangeSet[]): void {
    const target = Text.of(opened.text.split("\n"));
    const rebased: ChangeSet[] = [];
    const all = sendableUpdates(this.view.state).map((update) => update.changes);
    let base = this.synced; // becomes the text that the changes still to be done start from
    for (const change of all.slice(0, all.length - pending.length)) base = change.apply(base);
    let bridge = difference(base, target);
    for (const change of pending) {
      rebased.push(change.map(bridge));
      bridge = bridge.map(change, true);
    }
    const selection = bridge.mapPos(this.view.state.selection.main.head);
    this.epoch = opened.epoch;
    this.heads = opened.heads;
    this.pushing = false;
    this.confirmed = 0;
    this.synced = target;
    this.view.setState(this.fresh(opened.text, opened.version));
    for (const changes of rebased) this.view.dispatch({ changes });
    this.view.dispatch({ selection: { anchor: selection } });
    this.changed();
  }

  /** Updates of other pages and devices, and confirmations of our own. */
  updates(message: Updates): void {
    if (message.epoch !== this.epoch) return;
    const synced = getSyncedVersion(this.view.state);
    const known = synced - message.from;
    if (known < 0) {
      this.ask();
      return;
    }
    const fresh = message.updates.slice(known);
    if (fresh.length) {
      this.confirmed += fresh.filter((update) => update.clientID === this.client).length;
      const updates = fresh.map((update) => ({
        clientID: update.clientID,
        changes: ChangeSet.fromJSON(update.changes),
      }));
      for (const update of updates) this.synced = update.changes.apply(this.synced);
      this.view.dispatch(receiveUpdates(this.view.state, updates), { annotations: fromProgram.of(true) });
    }
    this.heads = message.heads;
    this.push();
  }

  pushed(message: Pushed): void {
    this.pushing = false;
    if (message.taken) this.heads = message.heads;
    if (message.version > getSyncedVersion(this.view.state)) this.ask();
    else this.push();
    this.tell();
  }

  /** The program could not do what it was last asked: ask it again a little later. */
  refused(): void {
    window.clearTimeout(this.againTimer);
    this.againTimer = window.setTimeout(() => {
      this.againTimer = undefined;
      this.ask();
    }, AGAIN_MS);
  }

  people(people: Person[]): void {
    showPeople(this.view, people);
  }

  private changed(): void {
    this.push();
    this.tell();
    const words = this.view.state.doc.toString().match(/\S+/g);
    this.watcher.counted(words ? words.length : 0);
  }

  private tell(): void {
    this.watcher.saving(this.unsaved);
  }

  private push(): void {
    const pending = sendableUpdates(this.view.state);
    if (this.pushing || this.againTimer !== undefined || !pending.length || !this.epoch) return;
    this.pushing = this.live.send({
      type: "push",
      note: this.id,
      client: this.client,
      epoch: this.epoch,
      version: getSyncedVersion(this.view.state),
      last: this.confirmed + pending.length,
      updates: pending.map((update) => ({ changes: update.changes.toJSON() })),
    });
  }

  private cursorSoon(): void {
    if (this.cursorTimer !== undefined) return;
    this.cursorTimer = window.setTimeout(() => {
      this.cursorTimer = undefined;
      if (sendableUpdates(this.view.state).length) {
        this.cursorSoon(); // places are told in the text that the program has
        return;
      }
      const { anchor, head } = this.view.state.selection.main;
      this.live.send({ type: "cursor", note: this.id, anchor, head });
    }, 80);
  }

  close(): void {
    window.clearTimeout(this.cursorTimer);
    window.clearTimeout(this.againTimer);
    this.live.send({ type: "leave", note: this.id });
    this.view.destroy();
  }
}

/** The one replacement that makes `to` of `from`. */
function difference(from: Text, to: Text): ChangeSet {
  const a = from.toString();
  const b = to.toString();
  const least = Math.min(a.length, b.length);
  let start = 0;
  while (start < least && a[start] === b[start]) start++;
  let end = 0;
  while (end < least - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  return ChangeSet.of(
    { from: start, to: a.length - end, insert: b.slice(start, b.length - end) },
    from.length,
  );
}
