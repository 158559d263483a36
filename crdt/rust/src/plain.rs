//! The patches of plain typing, by where its characters are.
//!
//! The crate's log tells what became of the document that changes were applied to. Where they were applied to a copy
//! that lacks something, it tells of too much, and the difference of two versions takes as long as several applies. But
//! characters that changes insert into a text or delete from it can be looked up.

use std::collections::BTreeMap;

use automerge::legacy::{ElementId, Key, OpId, OpType};
use automerge::{Automerge, ObjId, ObjType, ReadDoc};

use crate::error::{guard, Result};
use crate::incoming::Incoming;
use crate::mend;
use crate::patches::Seen;
use crate::replay::{self, character, object};
use crate::version::At;

/// More operations are no typing.
const MOST_OPERATIONS: u64 = 64;

/// Characters that changes insert into texts without marks, or delete from them.
pub struct Plain {
    texts: BTreeMap<ObjId, Typed>,
}

#[derive(Default)]
struct Typed {
    inserted: Vec<(OpId, char)>,
    deleted: Vec<OpId>,
}

impl Plain {
    /// What changes do that are in a document; None if it is not this alone.
    pub fn of(doc: &Automerge, changes: &[Incoming]) -> Result<Option<Self>> {
        if changes.iter().map(|incoming| incoming.head.operations).sum::<u64>() > MOST_OPERATIONS {
            return Ok(None);
        }
        let mut texts = BTreeMap::<ObjId, Typed>::new();
        for change in changes.iter().map(|incoming| incoming.change.decode()) {
            for (i, op) in change.operations.iter().enumerate() {
                let typed = texts.entry(object(&op.obj)).or_default();
                match (&op.action, &op.key, character(op)) {
                    (OpType::Put(_), _, Some(c)) if op.insert => {
                        let id = OpId(change.start_op.get() + i as u64, change.actor_id.clone());
                        typed.inserted.push((id, c));
                    }
                    (OpType::Delete, Key::Seq(ElementId::Id(id)), _) if op.pred.iter().eq([id]) => {
                        typed.deleted.push(id.clone());
                    }
                    _ => return Ok(None),
                }
            }
        }
        for text in texts.keys() {
            if doc.object_type(text)? != ObjType::Text || !doc.marks(text)?.is_empty() {
                return Ok(None);
            }
        }
        Ok(Some(Plain { texts }))
    }

    /// The patches that lead from a document without the changes to one that differs by them alone.
    pub fn between(&self, before: &Automerge, after: &Automerge) -> Result<Vec<Seen>> {
        let mut seen = Vec::new();
        for (text, typed) in &self.texts {
            let Some(path) = mend::path(after, text, &At::default())? else {
                continue;
            };
            let path: Vec<_> = path.into_iter().map(|(_, prop)| prop).collect();
            let mut gone: Vec<_> = typed.deleted.iter().filter_map(|id| index(before, text, id)).collect();
            gone.sort_unstable();
            for run in gone.chunk_by(|one, next| *next == one + 1).rev() {
                seen.push(Seen::splice(path.clone(), run[0], String::new(), run.len()));
            }
            let new = typed.inserted.iter().filter_map(|(id, c)| Some((index(after, text, id)?, *c)));
            let mut new: Vec<_> = new.collect();
            new.sort_unstable();
            for run in new.chunk_by(|one, next| next.0 == one.0 + 1) {
                let inserted = run.iter().map(|(_, c)| c).collect();
                seen.push(Seen::splice(path.clone(), run[0].0, inserted, 0));
            }
        }
        Ok(seen)
    }
}

/// The index of a character that shows; None for one that does not.
fn index(doc: &Automerge, text: &ObjId, id: &OpId) -> Option<usize> {
    let cursor = replay::cursor(id).ok()?;
    let at = guard(|| Ok(doc.get_cursor_position(text, &cursor, None)?)).ok()?;
    doc.get_cursor(text, at, None).is_ok_and(|found| found == cursor).then_some(at)
}
