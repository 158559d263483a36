// Where the others are in the text: their carets with names, and what they have selected.

import { Extension, StateEffect, StateField } from "@codemirror/state";
import { Decoration, DecorationSet, EditorView, WidgetType } from "@codemirror/view";
import type { Person } from "./protocol";

const setPeople = StateEffect.define<Person[]>();

class Caret extends WidgetType {
  constructor(
    readonly name: string,
    readonly colour: string,
  ) {
    super();
  }

  override eq(other: Caret): boolean {
    return other.name === this.name && other.colour === this.colour;
  }

  override toDOM(): HTMLElement {
    const caret = document.createElement("span");
    caret.className = "caret";
    caret.style.setProperty("--colour", this.colour);
    caret.setAttribute("aria-hidden", "true");
    const label = document.createElement("span");
    label.className = "caret-name";
    label.textContent = this.name;
    caret.append(label);
    return caret;
  }
}

function decorations(people: Person[], length: number): DecorationSet {
  const ranges = [];
  for (const { anchor, head, name, colour } of people) {
    if (anchor === null || head === null) continue;
    const [from, to] = [Math.min(anchor, head, length), Math.min(Math.max(anchor, head), length)];
    if (from < to) {
      const style = `background-color: color-mix(in srgb, ${colour} 25%, transparent)`;
      ranges.push(Decoration.mark({ class: "their-selection", attributes: { style } }).range(from, to));
    }
    ranges.push(Decoration.widget({ widget: new Caret(name, colour), side: 1 }).range(Math.min(head, length)));
  }
  return Decoration.set(ranges, true);
}

const field = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(shown, transaction) {
    shown = shown.map(transaction.changes);
    for (const effect of transaction.effects) {
      if (effect.is(setPeople)) shown = decorations(effect.value, transaction.state.doc.length);
    }
    return shown;
  },
  provide: (from) => EditorView.decorations.from(from),
});

export function others(): Extension {
  return field;
}

export function showPeople(view: EditorView, people: Person[]): void {
  view.dispatch({ effects: setPeople.of(people) });
}
