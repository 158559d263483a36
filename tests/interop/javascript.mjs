// Automerge for JavaScript, driven by lines of JSON: {load, edit, apply, mark} in, what it then has out.
import * as Automerge from "@automerge/automerge"
import { createInterface } from "node:readline"

const bytes = (hex) => Uint8Array.from(Buffer.from(hex, "hex"))
const hex = (data) => Buffer.from(data).toString("hex")

const rules = ["none", "before", "after", "both"]

const edits = {
  types(d) {
    Object.assign(d, {
      text: "hello 🥚", string: new Automerge.ImmutableString("s"), int: -5, uint: new Automerge.Uint(2 ** 53 - 1),
      float: new Automerge.Float64(2.5), yes: true, none: null, bytes: new Uint8Array([0, 255]),
      time: new Date(1700000000123), count: new Automerge.Counter(3), list: [1, "a", { deep: [[]] }], map: { k: { v: 1 } },
    })
  },
  concurrent(d) {
    d.count.increment(10)
    d.title = "from javascript"
    Automerge.splice(d, ["text"], 0, 0, "JS ")
    d.list.push("js")
    delete d.map.k
  },
  mark(d) {
    Automerge.mark(d, ["text"], { start: 0, end: 3, expand: "both" }, "bold", true)
    Automerge.mark(d, ["text"], { start: 4, end: 7, expand: "none" }, "link", "https://example.org")
  },
  type(d) { for (const at of [3, 7]) Automerge.splice(d, ["text"], at, 0, "_") },
  block(d) { Automerge.splitBlock(d, ["text"], 2, { type: "heading", parents: [], attrs: {} }) },
  texts(d) { for (const rule of rules) d[rule] = "abcd" },
  rules(d) { for (const rule of rules) Automerge.mark(d, [rule], { start: 1, end: 3, expand: rule }, "bold", true) },
  edges(d) { for (const rule of rules) for (const at of [3, 1]) Automerge.splice(d, [rule], at, 0, "_") },
  large(d) { d.text = "x".repeat(70000) },
}

function plain(value) {
  if (value instanceof Uint8Array) return { $bytes: hex(value) }
  if (value instanceof Date) return { $time: value.getTime() }
  if (value instanceof Automerge.Counter) return { $counter: value.value }
  if (Automerge.isImmutableString(value)) return { $string: value.toString() }
  if (Array.isArray(value)) return value.map(plain)
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]))
  return value
}

function run({ actor, load, apply = [], edit = [] }) {
  let doc = load ? Automerge.load(bytes(load), { actor }) : Automerge.init({ actor })
  doc = Automerge.applyChanges(doc, apply.map(bytes))[0]
  const before = Automerge.getHeads(doc)
  for (const name of edit) doc = Automerge.change(doc, { message: name, time: 7 }, edits[name])
  const conflicts = Object.fromEntries(Object.keys(doc).map((key) => [key, Object.values(Automerge.getConflicts(doc, key) ?? {}).map(plain)]))
  return {
    content: plain(doc), heads: Automerge.getHeads(doc), save: hex(Automerge.save(doc)),
    since: hex(Automerge.saveSince(doc, before)), changes: Automerge.getAllChanges(doc).map(hex), conflicts,
    marks: typeof doc.text === "string" ? Automerge.marks(doc, ["text"]) : [],
    marked: Object.fromEntries(rules.filter((rule) => typeof doc[rule] === "string").map((rule) => [rule, Automerge.marks(doc, [rule]).map((mark) => [mark.start, mark.end])])),
    spans: typeof doc.text === "string" ? Automerge.spans(doc, ["text"]).map((span) => span.type) : [],
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(run(JSON.parse(line)), (_, v) => (typeof v === "bigint" ? Number(v) : v)) + "\n")
}
