import { complain, follow, guarded } from "./connection.js";

// Calls `onChange(rows, difference)` with the rows of a query, and again whenever they are others; returns what ends it.
export function live(url, name, params, onChange, { onError = complain, onState = () => {} } = {}) {
  let rows;
  const [changed, state] = [guarded(onChange), guarded(onState)];
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

function changedRows(before, { removed, moved, added, changed }) {
  const rows = [...before];
  for (const at of removed) rows.splice(at, 1);
  for (const [from, to] of moved) rows.splice(to, 0, ...rows.splice(from, 1));
  for (const [at, row] of added) rows.splice(at, 0, row);
  for (const [at, row] of changed) rows[at] = row;
  return rows;
}
