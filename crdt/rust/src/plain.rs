//! The patches of plain typing, by where its characters are.
//!
//! The crate's log tells what became of the document that changes were applied to. Where they were applied to a copy
//! that lacks something, it tells of too much, and the crate's difference of two versions takes as long as several
//! applies. But characters that changes insert into a text or delete from it can be looked up.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use automerge::legacy::{ElementId, Key, OpId, OpType};
use automerge::{Automerge, Change, ChangeHash, ExpandedChange, ObjId, ObjType, Prop, ReadDoc, ScalarValue};

use crate::elements::{self, character, object};
use crate::error::{guard, Result};
use crate::mend;
use crate::patches::Seen;
use crate::version::At;

/// Most operations to decode, to look characters up that were deleted.
const MOST_DECODED: u64 = 20_000;

/// Characters that changes insert into texts without marks, or delete from them.
pub struct Plain {
    texts: BTreeMap<ObjId, Typed>,
}

#[derive(Default)]
struct Typed {
    inserted: Vec<(OpId, char)>,
    deleted: HashSet<OpId>,
}

impl Plain {
    /// What changes do that are in a document; None if it is not this alone, or has more than `most` operations.
    pub fn of<'c, C>(doc: &Automerge, changes: C, most: usize) -> Result<Option<Self>>
    where
        C: Iterator<Item = &'c Change> + Clone,
    {
        if changes.clone().map(Change::len).sum::<usize>() > most {
            return Ok(None);
        }
        let mut texts = BTreeMap::<ObjId, Typed>::new();
        for change in changes.map(Change::decode) {
            for (i, op) in change.operations.iter().enumerate() {
                let typed = texts.entry(object(&op.obj)).or_default();
                match (&op.action, &op.key, character(op)) {
                    (OpType::Put(_), _, Some(c)) if op.insert => {
                        let id = OpId(change.start_op.get() + i as u64, change.actor_id.clone());
                        typed.inserted.push((id, c));
                    }
                    (OpType::Delete, Key::Seq(ElementId::Id(id)), _) if op.pred.iter().eq([id]) => {
                        typed.deleted.insert(id.clone());
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
            let shown = typed.deleted.iter().filter_map(|id| index(before, text, id));
            let gone: Result<Vec<_>> = shown.map(|at| Ok(at..at + width(before, text, at)?)).collect();
            show(after, text, gone?, &typed.came(after, text), &mut seen)?;
        }
        Ok(seen)
    }

    /// The patches that lead to a document from its version before the changes.
    ///
    /// None where characters that they delete take long to look up, or did not all show in that version.
    pub fn since(&self, doc: &Automerge, before: &[ChangeHash]) -> Result<Option<Vec<Seen>>> {
        let mut seen = Vec::new();
        for (text, typed) in &self.texts {
            let new = typed.came(doc, text);
            let Some(gone) = typed.gone(doc, text, &new)? else {
                return Ok(None);
            };
            let length = || doc.length(text) - new.len() + gone.iter().map(Range::len).sum::<usize>();
            if !gone.is_empty() && length() != At::heads_of(before).length(doc, text) {
                return Ok(None);
            }
            show(doc, text, gone, &new, &mut seen)?;
        }
        Ok(Some(seen))
    }
}

impl Typed {
    /// Where the inserted characters are.
    fn came(&self, after: &Automerge, text: &ObjId) -> Vec<(usize, char)> {
        let found = self.inserted.iter().filter_map(|(id, c)| Some((index(after, text, id)?, *c)));
        let mut found: Vec<_> = found.collect();
        found.sort_unstable();
        found
    }

    /// Where the deleted characters were, worked out from where they would be now.
    fn gone(
        &self,
        after: &Automerge,
        text: &ObjId,
        new: &[(usize, char)],
    ) -> Result<Option<Vec<Range<usize>>>> {
        let own: HashSet<_> = self.inserted.iter().map(|(id, _)| id).collect();
        let (mut gone, mut written) = (Vec::new(), Written::default());
        for id in self.deleted.iter().filter(|id| !own.contains(id)) {
            let (Some(width), Some(cursor)) = (written.width(after, id), elements::cursor(id)) else {
                return Ok(None);
            };
            gone.push((after.get_cursor_position(text, &cursor, None)?, width));
        }
        gone.sort_unstable();
        let mut earlier = 0;
        let place = |(at, width)| {
            let start = at + earlier - new.partition_point(|(new, _)| *new < at);
            earlier += width;
            start..start + width
        };
        Ok(Some(gone.into_iter().map(place).collect()))
    }
}

/// The patches that take away what is gone from a text, and put in what is new, from its start to its end.
fn show(
    after: &Automerge,
    text: &ObjId,
    mut gone: Vec<Range<usize>>,
    new: &[(usize, char)],
    seen: &mut Vec<Seen>,
) -> Result<()> {
    let Some(path) = mend::path(after, text, &At::default())? else {
        return Ok(());
    };
    let path: Vec<Prop> = path.into_iter().map(|(_, prop)| prop).collect();
    gone.sort_unstable_by_key(|range| range.start);
    let mut gone = gone
        .chunk_by(|one, next| one.end == next.start)
        .map(|run| (run[0].start, run.iter().map(Range::len).sum::<usize>()))
        .peekable();
    let mut new = new
        .chunk_by(|one, next| next.0 == one.0 + 1)
        .map(|run| (run[0].0, run.iter().map(|(_, c)| c).collect::<String>(), run.len()))
        .peekable();
    // What was patched so far is as it is to be, so a new character is at its index; what is gone was moved by it.
    let mut moved = 0isize;
    loop {
        let next_gone = gone.peek().map(|(start, _)| start.wrapping_add_signed(moved));
        let next_new = new.peek().map(|(start, ..)| *start);
        let Some(at) = next_gone.into_iter().chain(next_new).min() else {
            return Ok(());
        };
        let (_, deleted) = gone.next_if(|_| next_gone == Some(at)).unwrap_or_default();
        let (_, inserted, length) = new.next_if(|_| next_new == Some(at)).unwrap_or_default();
        moved += length as isize - deleted as isize;
        seen.push(Seen::splice(path.clone(), at, inserted, deleted));
    }
}

/// The index of a character that shows; None for one that does not.
fn index(doc: &Automerge, text: &ObjId, id: &OpId) -> Option<usize> {
    let cursor = elements::cursor(id)?;
    let at = guard(|| Ok(doc.get_cursor_position(text, &cursor, None)?)).ok()?;
    doc.get_cursor(text, at, None).is_ok_and(|found| found == cursor).then_some(at)
}

/// How many code points the item at an index takes up: other programs write several as one.
fn width(doc: &Automerge, text: &ObjId, at: usize) -> Result<usize> {
    let found = doc.get(text, at)?;
    Ok(found.map_or(1, |(value, _)| value.as_str().map_or(1, |text| text.chars().count())))
}

/// Changes of a document, decoded to see how wide their characters are.
#[derive(Default)]
struct Written {
    changes: HashMap<ChangeHash, ExpandedChange>,
    operations: u64,
}

impl Written {
    /// How many code points an item takes up that may be deleted; None where that takes long.
    fn width(&mut self, doc: &Automerge, OpId(counter, actor): &OpId) -> Option<usize> {
        let hash = doc.hash_for_opid(&ObjId::Id(*counter, actor.clone(), 0))?;
        if !self.changes.contains_key(&hash) {
            let meta = doc.get_change_meta_by_hash(&hash)?;
            self.operations += meta.max_op - meta.start_op;
            if self.operations > MOST_DECODED {
                return None;
            }
            self.changes.insert(hash, doc.get_change_by_hash(&hash)?.decode());
        }
        let change = &self.changes[&hash];
        match &change.operations.get((counter - change.start_op.get()) as usize)?.action {
            OpType::Put(ScalarValue::Str(text)) => Some(text.chars().count()),
            _ => Some(1),
        }
    }
}
