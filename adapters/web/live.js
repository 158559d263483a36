import { complain, follow, guarded } from "./connection.js";

// Calls `onChange(rows, difference)` with the rows of a query, and again whenever they are others; returns what ends it.
export function live(url, name, params, onChange, { onError = complain, onState = () => {} } = {}) {
  let rows;
  const changed = guarded(onChange);
  const state = guarded(onState);
  const one = {
    begin: () => one.send({ do: "live", name, params }) && state({ connected: true }),
    lost: () => state({ connected: false }),
    failed: guarded(onError),
    told({ rows: all, difference }) {
      if (!difference && JSON.stringify(all) === JSON.stringify(rows)) return;
      rows = difference ? changedRows(rows, difference) : all;
      changed(rows, difference);
    },
  };
  return follow(url, one);
}

// An `onChange` for `live`: keeps an element's children those of the rows, each made of a template's element. A row that
// stays keeps its child, and with it the focus. While one is pressed nothing moves: its click would go nowhere. `fill`
// shows a row in its child.
export function showIn(parent, template, fill) {
  const filled = guarded(fill);
  const waiting = [];
  const place = (at, child) => parent.insertBefore(child, parent.children[at] ?? null);
  const made = (row) => {
    const child = template.content.firstElementChild.cloneNode(true);
    filled(child, row);
    return child;
  };
  const show = ([rows, difference]) => {
    if (!difference) return parent.replaceChildren(...rows.map(made));
    for (const at of difference.removed) parent.children[at].remove();
    for (const [from, to] of difference.moved) {
      const child = parent.children[from];
      child.remove();
      place(to, child);
    }
    for (const [at, row] of difference.added) place(at, made(row));
    for (const [at, row] of difference.changed) filled(parent.children[at], row);
  };
  const look = () => (parent.querySelector(":active") ? setTimeout(look, 50) : waiting.splice(0).forEach(show));
  return (...given) => waiting.push(given) === 1 && look();
}

function changedRows(before, { removed, moved, added, changed }) {
  const rows = [...before];
  for (const at of removed) rows.splice(at, 1);
  for (const [from, to] of moved) rows.splice(to, 0, ...rows.splice(from, 1));
  for (const [at, row] of added) rows.splice(at, 0, row);
  for (const [at, row] of changed) rows[at] = row;
  return rows;
}
