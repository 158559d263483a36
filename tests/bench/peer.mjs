// One workload of npm's @automerge/automerge, in a process of its own: `node peer.mjs WORKLOAD FOLDER N`.
// Prints one number a line: seconds, or microseconds for the workloads of one change.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import path from "node:path";

const here = path.dirname(new URL(import.meta.url).pathname);
const require = createRequire(path.join(here, "..", "interop", "package.json"));
const A = await import(pathToFileURL(require.resolve("@automerge/automerge")));

const [workload, folder, n] = process.argv.slice(2);
const most = Number(n);
const read = (name) => readFileSync(path.join(folder, name));

function pieces(data) {
  const found = [];
  for (let at = 0; at < data.length; ) {
    const length = data.readUInt32LE(at);
    found.push(data.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return found;
}

const edits = () =>
  pieces(read("edits")).slice(0, most).map((p) => [p.readUInt32LE(0), p.readUInt32LE(4), p.subarray(8).toString()]);

const versions = () => pieces(read("versions")).map((hash) => [hash.toString("hex")]);

function timed(work) {
  const begin = performance.now();
  const made = work();
  console.log((performance.now() - begin) / 1e3);
  return made;
}

function type(doc, recorded) {
  for (const [at, deleted, text] of recorded) A.splice(doc, ["body"], at, deleted, text);
}

function applyEach(concurrent) {
  let doc = A.load(read("before"));
  if (concurrent) doc = A.change(doc, (d) => A.splice(d, ["body"], 0, 0, "!"));
  for (const change of pieces(read("last")).slice(0, most)) {
    const begin = performance.now();
    [doc] = A.applyChanges(doc, [change]);
    console.log((performance.now() - begin) * 1e3);
  }
}

switch (workload) {
  case "edit-one": {
    const recorded = edits();
    timed(() => A.change(A.from({ body: "" }), (d) => type(d, recorded)));
    break;
  }
  case "edit-each": {
    const recorded = edits();
    timed(() => {
      let doc = A.from({ body: "" });
      for (const edit of recorded) doc = A.change(doc, (d) => type(d, [edit]));
    });
    break;
  }
  case "save": {
    const doc = A.load(read("document"));
    timed(() => A.save(doc));
    break;
  }
  case "load": {
    const saved = read("document");
    timed(() => A.load(saved));
    break;
  }
  case "fork-at": {
    const doc = A.load(read("document"));
    timed(() => A.clone(A.view(doc, versions()[0])));
    break;
  }
  case "diff": {
    const doc = A.load(read("document"));
    for (const heads of versions()) timed(() => A.diff(doc, heads, A.getHeads(doc)));
    break;
  }
  case "apply-all": {
    const changes = pieces(read("changes"));
    timed(() => A.applyChanges(A.init(), changes));
    break;
  }
  case "apply-one":
  case "apply-one-concurrent":
    applyEach(workload === "apply-one-concurrent");
    break;
  default:
    throw new Error(`no workload ${workload}`);
}
