//! What operations name: objects, elements, and the characters they write.

use automerge::legacy::{ObjectId, Op, OpId, OpType};
use automerge::{ActorId, Cursor, ObjId, ScalarValue};

use crate::encode;

pub fn object(obj: &ObjectId) -> ObjId {
    match obj {
        ObjectId::Root => ObjId::Root,
        ObjectId::Id(OpId(counter, actor)) => ObjId::Id(*counter, actor.clone(), 0),
    }
}

pub fn is(id: &ObjId, op: &OpId) -> bool {
    matches!(id, ObjId::Id(counter, actor, _) if *counter == op.0 && *actor == op.1)
}

pub fn is_mark(op: &Op) -> bool {
    matches!(op.action, OpType::MarkBegin(_) | OpType::MarkEnd(_))
}

pub fn character(op: &Op) -> Option<char> {
    let OpType::Put(ScalarValue::Str(text)) = &op.action else {
        return None;
    };
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
}

/// A cursor on an operation, in the crate's byte form.
pub fn cursor(id: &OpId) -> Option<Cursor> {
    let OpId(counter, actor) = id;
    let actor = ActorId::to_bytes(actor);
    let mut bytes = vec![1, 3];
    encode::prefixed(&mut bytes, actor);
    encode::unsigned(&mut bytes, *counter);
    bytes.push(2);
    Cursor::try_from(&bytes[..]).ok()
}
