//! Changes of one keystroke, read without the crate: most changes of a text are such.

use automerge::legacy::Op;
use automerge::{ActorId, Change, ObjId};

use crate::chunk::Head;
use crate::encode::LITERAL;
use crate::keystroke::{Heading, Keystroke, DELETE, SET};
use crate::reader::Reader;

/// The columns of a keystroke, in their order.
const COLUMNS: [u64; 11] = [0x01, 0x02, 0x11, 0x13, 0x34, 0x42, 0x56, 0x57, 0x70, 0x71, 0x73];

/// Whether a change inserts or deletes one character, and has exactly the bytes that are written for that: then it is
/// encoded in the one way that a save would keep.
pub fn is_typed(change: &Change, head: &Head) -> bool {
    let heading = Heading {
        deps: change.deps().to_vec(),
        actor: change.actor_id().clone(),
        seq: change.seq(),
        start_op: change.start_op().get(),
        time: change.timestamp(),
        message: change.message().map(str::to_owned),
    };
    read(change, head).is_some_and(|keystroke| keystroke.body(&heading) == change.raw_bytes()[head.body..])
}

/// The operation of a change that is typed.
pub fn operation(change: &Change, head: &Head) -> Option<Op> {
    read(change, head)?.operation()
}

/// The keystroke that a change is, if it is one.
fn read(change: &Change, head: &Head) -> Option<Keystroke> {
    let columns = split(&change.raw_bytes()[head.columns..])?;
    let [of_actor, of, key_actor, key, insert, action, _, value, ..] = columns;
    let number = |column| only(column)?.unsigned().ok();
    let actor = |column| -> Option<ActorId> {
        match (number(column)? as usize).checked_sub(1) {
            None => Some(change.actor_id().clone()),
            Some(other) => change.other_actor_ids().get(other).cloned(),
        }
    };
    let of = ObjId::Id(number(of)?, actor(of_actor)?, 0);
    let element = match key_actor.is_empty() {
        true => None,
        false => Some((only(key)?.signed().ok()? as u64, actor(key_actor)?)),
    };
    match (number(action)?, insert.is_empty()) {
        (SET, false) => {
            let text = std::str::from_utf8(value).ok()?.to_owned();
            Some(Keystroke::new(of, 0, text, element, Vec::new()))
        }
        (DELETE, true) => Some(Keystroke::new(of, 0, String::new(), None, vec![element?])),
        _ => None,
    }
}

fn split(columns: &[u8]) -> Option<[&[u8]; 11]> {
    let mut r = Reader::new(columns);
    let mut sizes = [0; 11];
    for _ in 0..r.unsigned().ok()? {
        let at = COLUMNS.binary_search(&r.unsigned().ok()?).ok()?;
        sizes[at] = r.unsigned().ok()?;
    }
    let mut found: [&[u8]; 11] = [&[]; 11];
    for (column, size) in found.iter_mut().zip(sizes) {
        *column = r.take(size).ok()?;
    }
    Some(found)
}

/// What a column of one row holds.
fn only(column: &[u8]) -> Option<Reader<'_>> {
    let (run, value) = column.split_first()?;
    (*run == LITERAL).then(|| Reader::new(value))
}
