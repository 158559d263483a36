//! Giving changes that were checked to the crate.
//!
//! The crate (0.12.0) panics where one of two values of a character is deleted, the one that shows stays, and nothing
//! else is written there in the same call. Two devices that undo one deletion at once leave two such values, and one
//! that deletes the character again before it knows of the other's undo then meets the case.
//!
//! So after a panic a copy of the document gets the changes together with a **scaffold**: a change of nobody, which
//! writes at each place where they do. Then the copy is cut back to its heads without the scaffold, which takes up
//! to five times as long as loading it.

use std::collections::HashSet;
use std::num::NonZeroU64;

use automerge::legacy::{Key, Op, OpType, SortedVec};
use automerge::{ActorId, Automerge, Change, ExpandedChange, PatchLog, ReadDoc};

use crate::check;
use crate::chunk::MAX_OP;
use crate::cut;
use crate::error::{guard, invalid, Error, Result};
use crate::incoming::Incoming;
use crate::patches::{self, Seen};
use crate::versions;

/// A copy of a document with what `to` gave to it, for the second time with a scaffold if it fails without.
pub fn on_copy(
    doc: &Automerge,
    mut to: impl FnMut(&mut Automerge, bool) -> Result<bool>,
) -> Result<Automerge> {
    for scaffold in [false, true] {
        let mut copy = doc.clone();
        if to(&mut copy, scaffold)? {
            return Ok(copy);
        }
    }
    invalid("the change was not taken")
}

/// Give changes to the crate: false if it fails without a scaffold. After that, or an error, the document is to be
/// dropped.
pub fn give<'c, C>(doc: &mut Automerge, changes: C, log: &mut PatchLog, scaffold: bool) -> Result<bool>
where
    C: Iterator<Item = &'c Change> + Clone,
{
    let known = doc.stats().num_changes + changes.clone().count() as u64;
    if scaffold {
        let made = guard(|| with_scaffold(doc, changes));
        *doc = made.map_err(|error| match error {
            Error::Crdt(why) | Error::InvalidChange(why) => Error::InvalidChange(why),
            other => other,
        })?;
    } else if guard(|| Ok(doc.apply_changes_log_patches(changes.cloned(), log)?)).is_err() {
        return Ok(false);
    }
    match doc.stats().num_changes == known {
        true => Ok(true),
        false => invalid("the change was not taken"),
    }
}

/// The same with patches of what the changes do.
pub fn hand_over(
    doc: &mut Automerge,
    incoming: &[Incoming],
    seen: &mut Vec<Seen>,
    scaffold: bool,
) -> Result<bool> {
    let before = doc.get_heads();
    let mut log = PatchLog::active();
    if !give(doc, incoming.iter().map(|incoming| &*incoming.change), &mut log, scaffold)? {
        return Ok(false);
    }
    check::mark_order(doc, incoming)?;
    let made = guard(|| match scaffold {
        true => versions::diff(doc, &before, &doc.get_heads()),
        false => versions::batch(doc, &before, doc.make_patches(&mut log), incoming),
    })?;
    patches::read(doc, made, seen)?;
    Ok(true)
}

fn with_scaffold<'c, C>(doc: &mut Automerge, changes: C) -> Result<Automerge>
where
    C: Iterator<Item = &'c Change> + Clone,
{
    let scaffold = scaffold(changes.clone());
    let hash = scaffold.hash();
    doc.apply_changes(changes.cloned().chain([scaffold]))?;
    let mut heads = doc.get_heads();
    heads.retain(|head| *head != hash);
    Ok(cut::fork_at(doc, &heads)?.with_actor(doc.get_actor().clone()))
}

/// A change of an actor that nobody has, which writes wherever some changes delete, put or count in a list or text.
fn scaffold<'c>(changes: impl Iterator<Item = &'c Change>) -> Change {
    let operations = changes.flat_map(|change| change.decode().operations);
    let written = operations.filter(|op| !op.insert && matches!(op.key, Key::Seq(_)));
    let places: HashSet<_> = written.map(|op| (op.obj, op.key)).collect();
    let start_op = NonZeroU64::new(MAX_OP.saturating_sub(places.len() as u64)).unwrap_or(NonZeroU64::MIN);
    let write =
        |(obj, key)| Op { action: OpType::Put("".into()), obj, key, pred: SortedVec::new(), insert: false };
    Change::from(ExpandedChange {
        operations: places.into_iter().map(write).collect(),
        actor_id: ActorId::random(),
        hash: None,
        seq: 1,
        start_op,
        time: 0,
        message: None,
        deps: Vec::new(),
        extra_bytes: Vec::new(),
        author: None,
    })
}
