//! Whether changes are valid in their causal past, before the crate sees them.
//!
//! The crate panics, diverges by order, or writes a save that it cannot load again on changes that
//! break these rules: seq follows the actor's previous change, which lies in the past; operations
//! number on from the past; every object, element and predecessor exists in the past and fits; and
//! the bytes are exactly those that the crate would write, or a save would rebuild another hash.

use std::cmp::Ordering;

use automerge::legacy::{ElementId, Key, ObjectId, Op, OpId, OpType};
use automerge::{ActorId, Automerge, ObjType, ReadDoc};
use foldhash::{HashMap, HashMapExt};

use crate::elements;
use crate::error::{guard, invalid, Error, Result};
use crate::facts::{Action, Fact, OpKey, Place};
use crate::giants::Giants;
use crate::incoming::{self, Incoming};
use crate::past::{Known, Past};
use crate::tracker;
use crate::values::MAX_DEPTH;

/// Check changes in an order in which dependencies come first. The first `known` of them are in another copy of the
/// document already, where they may have been let in without `strict`.
pub fn check(
    doc: &mut Automerge,
    giants: &mut Giants,
    changes: &[Incoming],
    known: usize,
    strict: bool,
) -> Result<()> {
    let checked = guard(|| {
        let seqs = last_seqs(doc, changes);
        let operations = changes.iter().map(|incoming| incoming.head.operations).sum::<u64>();
        let mut facts = Known::new(doc, giants, seqs, changes.len(), operations);
        let mut all = changes.iter().enumerate();
        all.try_for_each(|(i, incoming)| check_one(&mut facts, incoming, strict && i >= known))
    });
    checked.map_err(|error| match error {
        Error::Crdt(why) => Error::InvalidChange(why),
        other => other,
    })
}

/// The last seq in the document of each actor of the changes.
fn last_seqs(doc: &mut Automerge, changes: &[Incoming]) -> HashMap<ActorId, u64> {
    let mut seqs = HashMap::new();
    for incoming in changes {
        let actor = incoming.change.actor_id();
        if !seqs.contains_key(actor) {
            seqs.insert(actor.clone(), tracker::last_seq(doc, actor));
        }
    }
    seqs
}

fn check_one(known: &mut Known<'_>, incoming: &Incoming, strict: bool) -> Result<()> {
    let head = &incoming.head;
    let operations = incoming.operations();
    let actor = known.actor(incoming.change.actor_id());
    let (past, max_op) = known.past(actor, &head.deps)?;
    check_seq(known, &past, actor, head.seq)?;
    // A save does not keep the number of a change without operations: it must be the one that follows.
    let exact = strict || head.operations == 0;
    if head.start_op <= max_op || (exact && head.start_op != max_op + 1) {
        return invalid(format!("start_op is {}, and its past ends at {max_op}", head.start_op));
    }
    let mut past = past;
    past.include(head.seq);
    let mut scope = Scope { known, past: &past, actor, first: head.start_op };
    for (i, op) in operations.iter().enumerate() {
        scope.check(&operations, i, op, head.seq)?;
    }
    if !incoming.canonical && !incoming::is_canonical(&incoming.change, incoming.change.decode()) {
        return invalid("the change is not encoded in the one way that a save would keep");
    }
    known.place(head.hash, actor, head.seq, head.last_op(), past);
    Ok(())
}

fn check_seq(known: &Known<'_>, past: &Past, actor: u32, seq: u64) -> Result<()> {
    let in_document = known.document_seq(actor);
    if seq <= in_document || known.has_batch_seq(actor, seq) {
        return Err(Error::ActorReused(format!("there is another change {seq} of this actor")));
    }
    if seq > 1 && !past.contains(actor, seq - 1, seq - 1 <= in_document) {
        return invalid(format!("change {} of the actor is not in the past", seq - 1));
    }
    Ok(())
}

/// Whether every mark of these changes, now in the document, ends after it begins: a save with one
/// that does not cannot be loaded again.
pub fn mark_order(doc: &Automerge, changes: &[Incoming]) -> Result<()> {
    let mut doubtful = false;
    for incoming in changes.iter().filter(|incoming| incoming.head.has_marks) {
        let decoded = incoming.change.decode();
        for (i, op) in decoded.operations.iter().enumerate() {
            if matches!(op.action, OpType::MarkBegin(_)) {
                let first = decoded.start_op.get() + i as u64;
                let begin = mark_index(doc, op, OpId(first, decoded.actor_id.clone()))?;
                let end = mark_index(doc, op, OpId(first + 1, decoded.actor_id.clone()))?;
                match begin.cmp(&end) {
                    Ordering::Less => {}
                    Ordering::Equal => doubtful = true,
                    Ordering::Greater => return invalid("a mark ends before it begins"),
                }
            }
        }
    }
    // Between the same characters only the format itself can tell the order.
    if doubtful && guard(|| Ok(Automerge::load(&doc.save())?)).is_err() {
        return invalid("a mark ends before it begins");
    }
    Ok(())
}

fn mark_index(doc: &Automerge, op: &Op, id: OpId) -> Result<usize> {
    let Some(cursor) = elements::cursor(&id) else {
        return invalid("a mark that cannot be found");
    };
    guard(|| Ok(doc.get_cursor_position(elements::object(&op.obj), &cursor, None)?))
}

/// One change while its operations are checked in order.
struct Scope<'k, 'd> {
    known: &'k mut Known<'d>,
    past: &'k Past,
    actor: u32,
    first: u64,
}

impl Scope<'_, '_> {
    fn check(&mut self, operations: &[Op], index: usize, op: &Op, seq: u64) -> Result<()> {
        let fact = self.known.read(op, seq);
        match self.kind(op)? {
            ObjType::Map | ObjType::Table => self.in_map(op, &fact)?,
            kind => self.in_sequence(op, &fact, kind)?,
        }
        self.mark_pairs(operations, index, op)?;
        self.predecessors(op, &fact)?;
        let id: OpKey = (self.actor, self.first + index as u64);
        if matches!(fact.action, Action::Make(_)) && self.known.nest(id, fact.obj)? > MAX_DEPTH {
            return invalid(format!("an object nests deeper than {MAX_DEPTH} levels"));
        }
        self.known.add(id, fact);
        Ok(())
    }

    fn find(&mut self, id: &OpId) -> Option<Fact> {
        let key = self.known.op(id);
        self.known.fact(key, &id.1, self.past)
    }

    /// The type of the object that the operation is in.
    fn kind(&mut self, op: &Op) -> Result<ObjType> {
        let ObjectId::Id(id) = &op.obj else {
            return Ok(ObjType::Map);
        };
        match self.find(id) {
            Some(Fact { action: Action::Make(kind), .. }) => Ok(kind),
            Some(_) => invalid("an operation is in something that is no object"),
            None => invalid("the object of an operation is not in the past"),
        }
    }

    fn in_map(&mut self, op: &Op, fact: &Fact) -> Result<()> {
        let fits = matches!(fact.place, Place::Key(_)) && !op.insert;
        if !fits || matches!(fact.action, Action::MarkBegin | Action::MarkEnd) {
            return invalid("an operation of a list in a map");
        }
        Ok(())
    }

    fn in_sequence(&mut self, op: &Op, fact: &Fact, kind: ObjType) -> Result<()> {
        let Key::Seq(elem) = &op.key else {
            return invalid("a map key in a list or text");
        };
        let is_mark = matches!(fact.action, Action::MarkBegin | Action::MarkEnd);
        if is_mark && (!op.insert || kind != ObjType::Text) {
            return invalid("a mark outside a text");
        }
        if op.insert && matches!(fact.action, Action::Delete | Action::Increment) {
            return invalid("an insertion of nothing");
        }
        if kind == ObjType::Text && fact.action == Action::Increment {
            return invalid("an increment in a text");
        }
        match elem {
            ElementId::Head if op.insert => Ok(()),
            ElementId::Head => invalid("an operation on the head of a list"),
            ElementId::Id(id) => match self.find(id) {
                Some(found) if !found.insert || found.obj != fact.obj => {
                    invalid("an element of another object")
                }
                Some(Fact { action: Action::MarkBegin | Action::MarkEnd, .. }) if !op.insert => {
                    invalid("a value in the place of a mark")
                }
                Some(_) => Ok(()),
                None => invalid("the element of an operation is not in the past"),
            },
        }
    }

    /// The end of a mark comes just after its begin, in the same text.
    fn mark_pairs(&self, operations: &[Op], index: usize, op: &Op) -> Result<()> {
        let paired = match &op.action {
            OpType::MarkBegin(_) => operations
                .get(index + 1)
                .is_some_and(|next| matches!(next.action, OpType::MarkEnd(_)) && next.obj == op.obj),
            OpType::MarkEnd(_) => index
                .checked_sub(1)
                .is_some_and(|before| matches!(operations[before].action, OpType::MarkBegin(_))),
            _ => true,
        };
        if paired {
            Ok(())
        } else {
            invalid("a mark without its begin or end")
        }
    }

    fn predecessors(&mut self, op: &Op, fact: &Fact) -> Result<()> {
        let mut counters = 0;
        let mut last: Option<(u64, ActorId)> = None;
        for pred in op.pred.iter() {
            let next = (pred.0, pred.1.clone());
            if last.as_ref().is_some_and(|last| *last >= next) {
                return invalid("the predecessors are not sorted and unique");
            }
            last = Some(next);
            let found = self.find(pred);
            let Some(found) = found else {
                return invalid("a predecessor is not in the past");
            };
            let same = found.obj == fact.obj && self.place_of(pred, &found) == fact.place;
            if !same || !matches!(found.action, Action::Make(_) | Action::Put { .. }) {
                return invalid("a predecessor of another place");
            }
            counters += u32::from(found.action == Action::Put { counter: true });
        }
        match fact.action {
            _ if op.insert && last.is_some() => invalid("an insertion with predecessors"),
            Action::Delete if last.is_none() => invalid("a deletion of nothing"),
            Action::Increment if counters == 0 => invalid("an increment of no counter"),
            _ => Ok(()),
        }
    }

    /// The place that an operation wrote: an insertion is an element itself.
    fn place_of(&mut self, id: &OpId, fact: &Fact) -> Place {
        if fact.insert {
            Place::Elem(Some(self.known.op(id)))
        } else {
            fact.place
        }
    }
}
