import { complain, follow } from "./connection.js";

// Calls `onChange(rows, difference)` with the rows of a query, and again whenever they are others; returns what ends it.
export function live(url, name, params, onChange, { onError = complain, onState = () => {} } = {}) {
  let rows;
  const one = {
    begin: () => one.send({ do: "live", name, params }) && onState({ connected: true }),
    lost: () => onState({ connected: false }),
    failed: onError,
    told(message) {
      const { difference } = message;
      const before = JSON.stringify(rows);
      if (difference) rows = changedRows(rows, difference);
      else rows = message.rows;
      if (difference || JSON.stringify(rows) !== before) onChange(rows, difference);
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
