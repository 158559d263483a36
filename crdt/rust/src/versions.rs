//! The difference of two versions of a document.
//!
//! The crate's walks the whole document. Where what lies between the two is little, and only typing, the characters are
//! looked up instead; and where it is little but something else, marks are looked at only in the texts that it touches.

use std::collections::{BTreeSet, HashSet};

use automerge::{Automerge, Change, ChangeHash, ObjId, Patch, ReadDoc};

use crate::elements::object;
use crate::error::{guard, Result};
use crate::incoming::Incoming;
use crate::mend;
use crate::patches::{self, Seen};
use crate::plain::Plain;
use crate::winners;

/// Most operations that are little: each that is looked up takes 30 microseconds, a walk of a large document 30,000.
const LITTLE: u64 = 1_000;

/// Operations that are walked in the time that one is looked up.
const WALKED: u64 = 64;

/// What leads from one version to another.
pub fn seen(doc: &Automerge, before: &[ChangeHash], after: &[ChangeHash]) -> Result<Vec<Seen>> {
    let is_now = after == doc.get_heads();
    if is_now {
        if let Some(seen) = guard(|| typed(doc, before))? {
            return Ok(seen);
        }
    }
    let mut seen = Vec::new();
    let made = match before.is_empty() && is_now {
        true => doc.current_state(),
        false => diff(doc, before, after)?,
    };
    patches::read(doc, made, &mut seen)?;
    Ok(seen)
}

/// The patches between two versions.
pub fn diff(doc: &Automerge, before: &[ChangeHash], after: &[ChangeHash]) -> Result<Vec<Patch>> {
    let touched = touched(doc, before, after);
    mend::diff(doc, before, after, winners::diff(doc, before, after)?, touched)
}

/// The patches of a step in which these texts were marked, by the crate's log of it where that is right.
pub fn step(
    doc: &Automerge,
    before: &[ChangeHash],
    made: Vec<Patch>,
    marked: &BTreeSet<ObjId>,
) -> Result<Vec<Patch>> {
    match made.iter().any(|patch| patches::is_old_count(doc, patch)) {
        true => diff(doc, before, &doc.get_heads()),
        false => mend::step(doc, before, made, marked),
    }
}

/// The same of changes that the crate applied in its own way, whose log gets characters that come and go at one place wrong.
pub fn batch(
    doc: &Automerge,
    before: &[ChangeHash],
    made: Vec<Patch>,
    changes: &[Incoming],
) -> Result<Vec<Patch>> {
    let is_wrong = |patch| patches::is_doubtful(doc, patch) || patches::is_old_count(doc, patch);
    let exposes = || made.windows(2).any(|pair| patches::exposes(doc, &pair[0], &pair[1]));
    match made.iter().any(is_wrong) || exposes() || mend::rewrites(doc, changes) {
        true => diff(doc, before, &doc.get_heads()),
        false => mend::step(doc, before, made, &mend::marked(changes)),
    }
}

/// What leads from a version to the present one, if nothing was done but typing.
fn typed(doc: &Automerge, before: &[ChangeHash]) -> Result<Option<Vec<Seen>>> {
    let most = LITTLE.min(doc.stats().num_ops / WALKED);
    let Some(changes) = since(doc, before, most) else {
        return Ok(None);
    };
    match Plain::of(doc, changes.iter(), most as usize)? {
        Some(plain) => plain.since(doc, before),
        None => Ok(None),
    }
}

/// The changes that are not in the past of a version; None if they have more than `most` operations, or are more.
fn since(doc: &Automerge, version: &[ChangeHash], most: u64) -> Option<Vec<Change>> {
    let last = |heads: &[ChangeHash]| {
        let metas = heads.iter().filter_map(|head| doc.get_change_meta_by_hash(head));
        metas.map(|meta| meta.max_op).max().unwrap_or(0)
    };
    if last(&doc.get_heads()) - last(version) > most {
        return None;
    }
    let metas = doc.get_changes_meta(version);
    let operations = metas.iter().map(|meta| (meta.max_op + 1).saturating_sub(meta.start_op));
    (metas.len() as u64 <= most && operations.sum::<u64>() <= most).then(|| doc.get_changes(version))
}

/// The objects that the changes between two versions are in; None if those are not few.
fn touched(doc: &Automerge, before: &[ChangeHash], after: &[ChangeHash]) -> Option<BTreeSet<ObjId>> {
    let (one, other) = (since(doc, before, LITTLE)?, since(doc, after, LITTLE)?);
    let hashes = |changes: &[Change]| changes.iter().map(Change::hash).collect::<HashSet<_>>();
    let (in_one, in_other) = (hashes(&one), hashes(&other));
    let between = one.iter().chain(&other).filter(|change| {
        let hash = change.hash();
        in_one.contains(&hash) != in_other.contains(&hash)
    });
    Some(between.flat_map(|change| change.decode().operations).map(|op| object(&op.obj)).collect())
}
