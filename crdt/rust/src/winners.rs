//! The difference of two versions, put right where the crate's shows another value than a read does.
//!
//! Where an item of a list has several values, and what won before stands between two that are there now, the
//! crate's difference shows the earlier of the two.

use automerge::{Automerge, ChangeHash, ObjId, Patch, PatchAction, Prop, Value};

use crate::error::Result;
use crate::version::At;

/// The patches that lead from one version to another.
pub fn diff(doc: &Automerge, before: &[ChangeHash], after: &[ChangeHash]) -> Result<Vec<Patch>> {
    let mut made = doc.diff(before, after);
    // Reading the present takes no look at what was when.
    let at = if after == doc.get_heads() { At::default() } else { At::heads_of(after) };
    let mut next = 0;
    while next < made.len() {
        if let Some(winner) = other_winner(doc, &made[next], &at)? {
            put(doc, &mut made, next, winner, after)?;
        }
        next += 1;
    }
    Ok(made)
}

/// What a read gives of a list item, if that is not what a patch shows.
fn other_winner(doc: &Automerge, patch: &Patch, at: &At) -> Result<Option<(Value<'static>, ObjId)>> {
    let PatchAction::PutSeq { index, value, conflict: true } = &patch.action else {
        return Ok(None);
    };
    let found = at.get(doc, &patch.obj, Prop::Seq(*index))?;
    Ok(found.filter(|(_, id)| *id != value.1).map(|(value, id)| (value.into_owned(), id)))
}

/// Let a patch show another value, with all that it holds.
fn put(
    doc: &Automerge,
    made: &mut Vec<Patch>,
    at: usize,
    winner: (Value<'static>, ObjId),
    after: &[ChangeHash],
) -> Result<()> {
    let obj = made[at].obj.clone();
    let PatchAction::PutSeq { index, value, .. } = &mut made[at].action else {
        return Ok(());
    };
    let place = (obj, Prop::Seq(*index));
    let object = winner.0.is_object().then(|| winner.1.clone());
    *value = winner;
    made.retain(|patch| !patch.path.contains(&place));
    if let Some(id) = object {
        made.extend(doc.diff_obj(&id, &[], after, true)?);
    }
    Ok(())
}
