//! The operations of a remote change, run one after another in a local transaction.

use std::cell::RefCell;
use std::mem::ManuallyDrop;

use automerge::legacy::{ElementId, Key, ObjectId, Op, OpId, OpType};
use automerge::marks::{ExpandMark, Mark};
use automerge::transaction::{Transactable, Transaction};
use automerge::{
    Automerge, Change, ChangeHash, Cursor, ExpandedChange, ObjId, ObjType, PatchLog, Prop, ReadDoc,
};

use crate::elements::{character, cursor, is, is_mark, object};
use crate::error::{guard, Error, Result};
use crate::replay::{options, Hint};
use crate::values::MAX_DEPTH;

/// Why it stopped.
enum Stop {
    /// An operation cannot be run as a local one.
    Impossible,
}

impl<E: std::error::Error> From<E> for Stop {
    fn from(_: E) -> Self {
        Stop::Impossible
    }
}

type Step<T> = std::result::Result<T, Stop>;

/// Run operations, and commit what they made: its hash if that is anything. None, with nothing done, if one cannot be run.
pub fn play(
    doc: &mut Automerge,
    change: &Change,
    ops: &[Op],
    hint: &mut Hint,
    log: PatchLog,
) -> Result<Option<(Option<ChangeHash>, PatchLog)>> {
    let tx = doc.transaction_log_patches(log).map_err(|e| Error::Crdt(e.to_string()))?;
    // A transaction rolls back when it is dropped; after a panic that could panic again, and abort.
    let tx = ManuallyDrop::new(tx);
    let first = OpId(change.start_op().get(), change.actor_id().clone());
    let mut player = Player { tx, first, ops, next: 0, near: hint.near.take(), seen: RefCell::new(None) };
    let played = player.play();
    let tx = ManuallyDrop::into_inner(player.tx);
    if played.is_err() {
        tx.rollback();
        return Ok(None);
    }
    hint.near = player.near;
    Ok(Some(tx.commit_with(options(change))))
}

/// The operations of one change on their way into a transaction.
struct Player<'a, 'd> {
    tx: ManuallyDrop<Transaction<'d>>,
    first: OpId,
    ops: &'a [Op],
    next: usize,
    near: Option<(ObjectId, usize)>,
    /// The change that was looked into last: the next operation to look up is likely to be of it too.
    seen: RefCell<Option<ExpandedChange>>,
}

impl<'a> Player<'a, '_> {
    fn play(&mut self) -> Step<()> {
        while self.next < self.ops.len() {
            let op = &self.ops[self.next];
            let obj = object(&op.obj);
            let taken = match &op.key {
                Key::Map(key) => self.in_map(op, &obj, key)?,
                Key::Seq(elem) if op.insert => self.insertion(op, &obj, elem)?,
                Key::Seq(elem) => self.in_sequence(op, &obj, elem)?,
            };
            self.next += taken;
            if self.tx.pending_ops() != self.next {
                return Err(Stop::Impossible);
            }
        }
        Ok(())
    }

    /// Whether an object in this one lies within the depth to which documents nest.
    fn nests(&self, obj: &ObjId) -> Step<()> {
        possible(self.tx.parents(obj)?.count() < MAX_DEPTH)
    }

    fn id(&self, index: usize) -> OpId {
        self.first.increment_by(index as u64)
    }

    fn in_map(&mut self, op: &Op, obj: &ObjId, key: &str) -> Step<usize> {
        let prop = Prop::from(key);
        self.same_predecessors(op, obj, prop.clone())?;
        self.write(op, obj, prop)?;
        Ok(1)
    }

    /// The crate's local operation supersedes all that is visible: so must the remote one. But where it would put
    /// what is there already, it keeps that, and deletes what is there beside it.
    fn same_predecessors(&self, op: &Op, obj: &ObjId, prop: Prop) -> Step<()> {
        let visible = self.tx.get_all(obj, prop)?;
        if let (OpType::Put(value), Some((shown, _))) = (&op.action, visible.last()) {
            possible(shown.as_scalar() != Some(value))?;
        }
        let same = visible.len() == op.pred.len()
            && visible.iter().all(|(_, id)| op.pred.iter().any(|pred| is(id, pred)));
        possible(same)
    }

    fn write(&mut self, op: &Op, obj: &ObjId, prop: Prop) -> Step<()> {
        match &op.action {
            // The log of a transaction gives such a character no marks, and cannot tell of a counter in a text.
            OpType::Put(_) | OpType::Increment(_) if self.tx.object_type(obj)? == ObjType::Text => {
                return Err(Stop::Impossible)
            }
            OpType::Put(value) => self.tx.put(obj, prop, value.clone())?,
            OpType::Make(ObjType::Table) => return Err(Stop::Impossible),
            OpType::Make(kind) => {
                self.nests(obj)?;
                self.tx.put_object(obj, prop, *kind)?;
            }
            OpType::Delete => self.tx.delete(obj, prop)?,
            OpType::Increment(by) => self.tx.increment(obj, prop, *by)?,
            OpType::MarkBegin(_) | OpType::MarkEnd(_) => return Err(Stop::Impossible),
        }
        Ok(())
    }

    fn in_sequence(&mut self, op: &Op, obj: &ObjId, elem: &ElementId) -> Step<usize> {
        let index = self.index_of(op, obj, elem)?;
        self.same_predecessors(op, obj, Prop::Seq(index))?;
        self.write(op, obj, Prop::Seq(index))?;
        self.near = Some((op.obj.clone(), index));
        Ok(1)
    }

    fn insertion(&mut self, op: &Op, obj: &ObjId, elem: &ElementId) -> Step<usize> {
        let index = match elem {
            ElementId::Head => 0,
            ElementId::Id(id) => match self.index_of(op, obj, elem) {
                Ok(index) => index + 1,
                // A mark has no width: what comes after it is at its own place.
                Err(_) if self.is_mark(id) => self.position(obj, &cursor(id).ok_or(Stop::Impossible)?)?,
                Err(stop) => return Err(stop),
            },
        };
        let text = self.run_of_text(op);
        let taken = match &op.action {
            _ if !text.is_empty() && self.tx.object_type(obj)? == ObjType::Text => {
                self.tx.splice_text(obj, index, 0, &text)?;
                text.chars().count()
            }
            OpType::Put(value) => {
                self.tx.insert(obj, index, value.clone())?;
                1
            }
            OpType::Make(ObjType::Table) => return Err(Stop::Impossible),
            OpType::Make(kind) => {
                self.nests(obj)?;
                if *kind == ObjType::Map && self.tx.object_type(obj)? == ObjType::Text {
                    self.tx.split_block(obj, index)?; // the same operation, whose patch says that it is a block
                } else {
                    self.tx.insert_object(obj, index, *kind)?;
                }
                1
            }
            OpType::MarkBegin(_) => self.mark(op, obj, index)?,
            _ => return Err(Stop::Impossible),
        };
        self.near = Some((op.obj.clone(), (index + taken).saturating_sub(1)));
        Ok(taken)
    }

    /// The characters of the insertions from here that follow one another.
    fn run_of_text(&self, op: &Op) -> String {
        let mut text = String::new();
        for (i, next) in self.ops[self.next..].iter().enumerate() {
            let follows = i == 0 || (next.obj == op.obj && next.key == self.after(i));
            match character(next) {
                Some(c) if follows && next.insert => text.push(c),
                _ => break,
            }
        }
        text
    }

    /// The key of an operation that follows the one before `ahead`.
    fn after(&self, ahead: usize) -> Key {
        Key::Seq(ElementId::Id(self.id(self.next + ahead - 1)))
    }

    /// Replay the two operations of a mark.
    fn mark(&mut self, op: &Op, obj: &ObjId, start: usize) -> Step<usize> {
        let (OpType::MarkBegin(data), Some(last)) = (&op.action, self.ops.get(self.next + 1)) else {
            return Err(Stop::Impossible);
        };
        let OpType::MarkEnd(after) = &last.action else {
            return Err(Stop::Impossible);
        };
        let end = match &last.key {
            key if *key == self.after(1) => start,
            Key::Seq(elem @ ElementId::Id(_)) => self.index_of(last, obj, elem)? + 1,
            _ => return Err(Stop::Impossible),
        };
        possible(last.obj == op.obj && start <= end)?;
        let expand = match (data.expand, *after) {
            (true, true) => ExpandMark::Both,
            (true, false) => ExpandMark::Before,
            (false, true) => ExpandMark::After,
            (false, false) => ExpandMark::None,
        };
        let mark = Mark::new(data.name.to_string(), data.value.clone(), start, end);
        self.tx.mark(obj, mark, expand)?;
        Ok(2)
    }

    /// Whether an element is the begin or the end of a mark.
    fn is_mark(&self, id: &OpId) -> bool {
        self.look_up(id).is_some_and(|op| is_mark(&op))
    }

    /// An operation, of this change or of the document.
    fn look_up(&self, id: &OpId) -> Option<Op> {
        if id.1 == self.first.1 && id.0 >= self.first.0 {
            return self.ops.get((id.0 - self.first.0) as usize).cloned();
        }
        let hash = self.tx.hash_for_opid(&ObjId::Id(id.0, id.1.clone(), 0))?;
        let mut seen = self.seen.borrow_mut();
        if seen.as_ref().is_none_or(|change| change.hash != Some(hash)) {
            *seen = Some(self.tx.get_change_by_hash(&hash)?.decode());
        }
        let change = seen.as_ref()?;
        let index = id.0.checked_sub(change.start_op.get())?;
        change.operations.get(index as usize).cloned()
    }

    /// The index of a visible element.
    fn index_of(&self, op: &Op, obj: &ObjId, elem: &ElementId) -> Step<usize> {
        let ElementId::Id(id) = elem else {
            return Err(Stop::Impossible);
        };
        let cursor = cursor(id).ok_or(Stop::Impossible)?;
        for index in self.near(&op.obj) {
            if self.is_at(obj, index, &cursor) {
                return Ok(index);
            }
        }
        let index = self.position(obj, &cursor)?;
        possible(self.is_at(obj, index, &cursor) || self.is_overwritten_at(obj, index, id))?;
        Ok(index)
    }

    /// Where to look first.
    fn near(&self, obj: &ObjectId) -> Vec<usize> {
        match &self.near {
            Some((near, at)) if near == obj => {
                [Some(*at), at.checked_sub(1), at.checked_add(1)].into_iter().flatten().collect()
            }
            _ => Vec::new(),
        }
    }

    /// The index of an element or of what comes after it; the crate panics if it is of another object.
    fn position(&self, obj: &ObjId, cursor: &Cursor) -> Step<usize> {
        let found = guard(|| Ok(self.tx.get_cursor_position(obj, cursor, None)?));
        found.map_err(|_| Stop::Impossible)
    }

    fn is_at(&self, obj: &ObjId, index: usize, cursor: &Cursor) -> bool {
        self.tx.get_cursor(obj, index, None).is_ok_and(|found| found == *cursor)
    }

    /// Whether what is visible at an index was written over this element.
    fn is_overwritten_at(&self, obj: &ObjId, index: usize, elem: &OpId) -> bool {
        let Ok(Some((_, ObjId::Id(counter, actor, _)))) = self.tx.get(obj, index) else {
            return false;
        };
        let visible = self.look_up(&OpId(counter, actor));
        visible.is_some_and(|op| !op.insert && op.key == Key::Seq(ElementId::Id(elem.clone())))
    }
}

fn possible(condition: bool) -> Step<()> {
    if condition {
        Ok(())
    } else {
        Err(Stop::Impossible)
    }
}
