//! The change that a keystroke makes, without asking the crate for it.
//!
//! The crate makes a change's bytes at the commit, and does not give them: asked for them, it collects the operations
//! from the whole document again, which is a third of the work of a keystroke. Of a transaction that was one edit of
//! a text all is known here: the characters, and the elements beside them. The hash of the commit proves it.

use automerge::{ActorId, ChangeHash, ObjId, ReadDoc};

use crate::encode::{self, deltas, prefixed, runs, signed, unsigned};

/// More characters are no keystroke, nor are more deletions.
const MOST_CHARACTERS: usize = 64;
/// How many elements are remembered.
const MOST_KNOWN: usize = 1_024;

const SET: u64 = 1;
const DELETE: u64 = 3;
const STRING: u64 = 6;

/// The id of an operation.
type Id = (u64, ActorId);

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
        Some(Keystroke { of: of.clone(), index, text: text.to_owned(), after, deleted })
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
    /// How many operations it is.
    pub fn operations(&self) -> usize {
        self.text.chars().count() + self.deleted.len()
    }

    /// The change, without what is around it.
    fn body(&self, heading: &Heading) -> Vec<u8> {
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
        let columns = self.columns(heading, (*counter, number(actor)), &number);
        let columns: Vec<_> = columns.iter().filter(|(_, column)| !column.is_empty()).collect();
        unsigned(&mut out, columns.len() as u64);
        for (specification, column) in &columns {
            unsigned(&mut out, *specification);
            unsigned(&mut out, column.len() as u64);
        }
        columns.iter().for_each(|(_, column)| out.extend_from_slice(column));
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
    ) -> [(u64, Vec<u8>); 11] {
        let (inserted, all) = (self.operations() - self.deleted.len(), self.operations());
        // A character follows the one before it; the start of the text is 0, of nobody.
        let mut keys: Vec<(u64, Option<u64>)> = Vec::with_capacity(all);
        if inserted > 0 {
            keys.push(
                self.after.as_ref().map_or((0, None), |(counter, actor)| (*counter, Some(number(actor)))),
            );
            keys.extend((heading.start_op..).take(inserted - 1).map(|counter| (counter, Some(0))));
        }
        let deleted: Vec<_> =
            self.deleted.iter().map(|(counter, actor)| (*counter, Some(number(actor)))).collect();
        keys.extend(&deleted);
        let counters = |ids: &[(u64, Option<u64>)]| {
            deltas(&ids.iter().map(|(counter, _)| Some(*counter as i64)).collect::<Vec<_>>())
        };
        let actors = |ids: &[(u64, Option<u64>)]| numbers(ids.iter().map(|(_, actor)| *actor));
        let split = |inserts: u64, deletes: u64| {
            numbers((0..all).map(|at| Some(if at < inserted { inserts } else { deletes })))
        };
        let values = self.text.chars().map(|c| Some((c.len_utf8() as u64) << 4 | STRING));
        let mut insert = Vec::new();
        if inserted > 0 {
            insert.push(0);
            unsigned(&mut insert, inserted as u64);
        }
        if !deleted.is_empty() {
            unsigned(&mut insert, deleted.len() as u64);
        }
        [
            (0x01, numbers((0..all).map(|_| Some(object_actor)))),
            (0x02, numbers((0..all).map(|_| Some(object)))),
            (0x11, actors(&keys)),
            (0x13, counters(&keys)),
            (0x34, insert),
            (0x42, split(SET, DELETE)),
            (0x56, numbers(values.chain(deleted.iter().map(|_| Some(0))))),
            (0x57, self.text.as_bytes().to_vec()),
            (0x70, split(0, 1)),
            (0x71, actors(&deleted)),
            (0x73, counters(&deleted)),
        ]
    }
}

fn numbers(rows: impl Iterator<Item = Option<u64>>) -> Vec<u8> {
    runs(&rows.collect::<Vec<_>>(), |out, number| unsigned(out, *number))
}
