//! The change that a keystroke makes, without asking the crate for it.
//!
//! The crate makes a change's bytes at the commit, and does not give them: asked for them, it collects the operations
//! from the whole document again, which is a fifth of the work of a keystroke. Of a transaction that was one edit of
//! a text all is known here: the characters, and the elements beside them. The hash of the commit proves it.

use automerge::legacy::{ElementId, Key, ObjectId, Op, OpId, OpType, SortedVec};
use automerge::{ActorId, ChangeHash, ObjId, ReadDoc, ScalarValue};

use crate::encode::{self, prefixed, runs, signed, unsigned, LITERAL};

/// More characters are no keystroke, nor are more deletions.
const MOST_CHARACTERS: usize = 64;
/// How many elements are remembered.
const MOST_KNOWN: usize = 1_024;

pub const SET: u64 = 1;
pub const DELETE: u64 = 3;
const STRING: u64 = 6;

/// The id of an operation.
pub type Id = (u64, ActorId);

/// The elements where somebody types: what is beside the next keystroke was mostly typed just before.
#[derive(Default)]
pub struct Caret {
    of: Option<ObjId>,
    start: usize,
    known: Vec<Id>,
}

/// An edit of a text.
pub struct Keystroke {
    of: ObjId,
    index: usize,
    text: String,
    after: Option<Id>,
    deleted: Vec<Id>,
}

/// What a change says beside its operations.
pub struct Heading {
    pub deps: Vec<ChangeHash>,
    pub actor: ActorId,
    pub seq: u64,
    pub start_op: u64,
    pub time: i64,
    pub message: Option<String>,
}

impl Caret {
    pub fn forget(&mut self) {
        self.of = None;
    }

    /// What an edit is going to do; None if it is none that is understood here.
    pub fn keystroke(
        &self,
        doc: &impl ReadDoc,
        of: &ObjId,
        index: usize,
        delete: usize,
        text: &str,
    ) -> Option<Keystroke> {
        if text.len() > MOST_CHARACTERS || delete > MOST_CHARACTERS {
            return None;
        }
        let after = match index.checked_sub(1).filter(|_| !text.is_empty()) {
            Some(before) => Some(self.element(doc, of, before)?),
            None => None,
        };
        let deleted = (index..index + delete).map(|at| self.element(doc, of, at)).collect::<Option<_>>()?;
        Some(Keystroke::new(of.clone(), index, text.to_owned(), after, deleted))
    }

    fn element(&self, doc: &impl ReadDoc, of: &ObjId, index: usize) -> Option<Id> {
        if self.of.as_ref() == Some(of) {
            if let Some(id) = index.checked_sub(self.start).and_then(|at| self.known.get(at)) {
                return Some(id.clone());
            }
        }
        match doc.get(of, index).ok()?? {
            (_, ObjId::Id(counter, actor, _)) => Some((counter, actor)),
            _ => None,
        }
    }

    /// Follow an edit that was committed.
    fn follow(&mut self, keystroke: Keystroke, start_op: u64, actor: &ActorId) {
        let Keystroke { of, index, text, deleted, .. } = keystroke;
        let new = (start_op..).zip(text.chars()).map(|(counter, _)| (counter, actor.clone()));
        let end = self.start + self.known.len();
        if self.of.as_ref() == Some(&of)
            && (self.start..=end).contains(&index)
            && end < MOST_KNOWN + self.start
        {
            let last = (index + deleted.len()).min(end);
            self.known.splice(index - self.start..last - self.start, new);
        } else {
            *self = Caret { of: Some(of), start: index, known: new.collect() };
        }
    }

    /// The bytes of the change that a keystroke made, if its hash is this one.
    pub fn change(&mut self, keystroke: Keystroke, heading: &Heading, hash: &ChangeHash) -> Option<Vec<u8>> {
        let body = keystroke.body(heading);
        let made = encode::hash(1, &body) == hash.0;
        match made {
            true => self.follow(keystroke, heading.start_op, &heading.actor),
            false => self.forget(),
        }
        made.then(|| encode::enclose(1, &hash.0[..4], &body))
    }
}

impl Keystroke {
    /// Characters after an element, or the start of a text, and elements that are deleted.
    pub fn new(of: ObjId, index: usize, text: String, after: Option<Id>, deleted: Vec<Id>) -> Self {
        Keystroke { of, index, text, after, deleted }
    }

    /// How many operations it is.
    pub fn operations(&self) -> usize {
        self.text.chars().count() + self.deleted.len()
    }

    /// Its only operation.
    pub fn operation(&self) -> Option<Op> {
        let ObjId::Id(counter, actor, _) = &self.of else {
            return None;
        };
        let id = |(counter, actor): &Id| OpId(*counter, actor.clone());
        let obj = ObjectId::Id(OpId(*counter, actor.clone()));
        match (self.text.is_empty(), self.deleted.first()) {
            (false, None) => {
                let key =
                    Key::Seq(self.after.as_ref().map_or(ElementId::Head, |after| ElementId::Id(id(after))));
                let action = OpType::Put(ScalarValue::from(self.text.as_str()));
                Some(Op { action, obj, key, pred: SortedVec::new(), insert: true })
            }
            (true, Some(deleted)) => {
                let key = Key::Seq(ElementId::Id(id(deleted)));
                let pred = SortedVec::from(vec![id(deleted)]);
                Some(Op { action: OpType::Delete, obj, key, pred, insert: false })
            }
            _ => None,
        }
    }

    /// The change, without what is around it.
    pub fn body(&self, heading: &Heading) -> Vec<u8> {
        let ObjId::Id(counter, actor, _) = &self.of else {
            return Vec::new();
        };
        let others = self.others(&heading.actor, actor);
        let number = |actor: &ActorId| match others.binary_search(&actor) {
            Ok(at) => at as u64 + 1,
            Err(_) => 0,
        };
        let mut out = Vec::with_capacity(160);
        unsigned(&mut out, heading.deps.len() as u64);
        heading.deps.iter().for_each(|dep| out.extend_from_slice(&dep.0));
        prefixed(&mut out, heading.actor.to_bytes());
        unsigned(&mut out, heading.seq);
        unsigned(&mut out, heading.start_op);
        signed(&mut out, heading.time);
        prefixed(&mut out, heading.message.as_deref().unwrap_or_default().as_bytes());
        unsigned(&mut out, others.len() as u64);
        others.iter().for_each(|actor| prefixed(&mut out, actor.to_bytes()));
        let Columns { sizes, bytes } = self.columns(heading, (*counter, number(actor)), &number);
        unsigned(&mut out, sizes.len() as u64);
        for (specification, size) in sizes {
            unsigned(&mut out, specification);
            unsigned(&mut out, size as u64);
        }
        out.extend_from_slice(&bytes);
        out
    }

    /// The actors that are named beside the writer.
    fn others<'a>(&'a self, own: &ActorId, of: &'a ActorId) -> Vec<&'a ActorId> {
        let elements = self.after.iter().chain(&self.deleted).map(|(_, actor)| actor);
        let mut others: Vec<_> = elements.chain([of]).filter(|actor| *actor != own).collect();
        others.sort_unstable();
        others.dedup();
        others
    }

    fn columns(
        &self,
        heading: &Heading,
        (object, object_actor): (u64, u64),
        number: &impl Fn(&ActorId) -> u64,
    ) -> Columns {
        let (inserted, all) = (self.operations() - self.deleted.len(), self.operations());
        // A character follows the one before it; the start of the text is 0, of nobody.
        let first = self.after.as_ref().map_or((0, None), |(counter, actor)| (*counter, Some(number(actor))));
        let next = (heading.start_op..).map(|counter| (counter, Some(0)));
        let deleted = self.deleted.iter().map(|(counter, actor)| (*counter, Some(number(actor))));
        let keys = [first].into_iter().chain(next).take(inserted).chain(deleted.clone());
        let each = |inserts: u64, deletes: u64| {
            (0..all).map(move |at| Some(if at < inserted { inserts } else { deletes }))
        };
        let values = self.text.chars().map(|c| Some((c.len_utf8() as u64) << 4 | STRING));
        let mut columns = Columns::default();
        columns.add(0x01, |out| numbers(out, each(object_actor, object_actor)));
        columns.add(0x02, |out| numbers(out, each(object, object)));
        columns.add(0x11, |out| numbers(out, keys.clone().map(|(_, actor)| actor)));
        columns.add(0x13, |out| counters(out, keys.map(|(counter, _)| counter)));
        columns.add(0x34, |out| {
            if inserted > 0 {
                out.push(0);
                unsigned(out, inserted as u64);
            }
            if !self.deleted.is_empty() {
                unsigned(out, self.deleted.len() as u64);
            }
        });
        columns.add(0x42, |out| numbers(out, each(SET, DELETE)));
        columns.add(0x56, |out| numbers(out, values.chain(self.deleted.iter().map(|_| Some(0)))));
        columns.add(0x57, |out| out.extend_from_slice(self.text.as_bytes()));
        columns.add(0x70, |out| numbers(out, each(0, 1)));
        columns.add(0x71, |out| numbers(out, deleted.clone().map(|(_, actor)| actor)));
        columns.add(0x73, |out| counters(out, deleted.map(|(counter, _)| counter)));
        columns
    }
}

/// Columns one after the other; an empty one is none.
#[derive(Default)]
struct Columns {
    sizes: Vec<(u64, usize)>,
    bytes: Vec<u8>,
}

impl Columns {
    fn add(&mut self, specification: u64, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.bytes.len();
        write(&mut self.bytes);
        let size = self.bytes.len() - before;
        if size > 0 {
            self.sizes.push((specification, size));
        }
    }
}

fn numbers(out: &mut Vec<u8>, rows: impl Iterator<Item = Option<u64>>) {
    column(out, rows, |out, number| unsigned(out, *number));
}

/// A column of differences.
fn counters(out: &mut Vec<u8>, rows: impl Iterator<Item = u64>) {
    let mut last = 0;
    let step = |counter: u64| Some(counter as i64 - std::mem::replace(&mut last, counter as i64));
    column(out, rows.map(step), |out, step| signed(out, *step));
}

fn column<T: PartialEq>(
    out: &mut Vec<u8>,
    mut rows: impl Iterator<Item = Option<T>>,
    write: impl Fn(&mut Vec<u8>, &T),
) {
    match (rows.next(), rows.next()) {
        (Some(Some(only)), None) => {
            out.push(LITERAL);
            write(out, &only);
        }
        (Some(first), Some(second)) => {
            let rows: Vec<_> = [first, second].into_iter().chain(rows).collect();
            out.extend(runs(&rows, write));
        }
        (None, _) | (Some(None), None) => {}
    }
}
