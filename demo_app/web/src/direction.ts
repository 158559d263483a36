// Each line runs in the direction of its own text: right to left for Hebrew or Arabic.

import { Extension, RangeSetBuilder } from "@codemirror/state";
import { Decoration, DecorationSet, EditorView, ViewPlugin, ViewUpdate } from "@codemirror/view";

const auto = Decoration.line({ attributes: { dir: "auto" } });

function lines(view: EditorView): DecorationSet {
  const made = new RangeSetBuilder<Decoration>();
  for (const { from, to } of view.visibleRanges) {
    for (let at = from; at <= to; ) {
      const line = view.state.doc.lineAt(at);
      made.add(line.from, line.from, auto);
      at = line.to + 1;
    }
  }
  return made.finish();
}

export function eachLineItsDirection(): Extension {
  const plugin = ViewPlugin.fromClass(
    class {
      shown: DecorationSet;
      constructor(view: EditorView) {
        this.shown = lines(view);
      }
      update(update: ViewUpdate): void {
        if (update.docChanged || update.viewportChanged) this.shown = lines(update.view);
      }
    },
    { decorations: (plugin) => plugin.shown },
  );
  return [EditorView.perLineTextDirection.of(true), plugin];
}
