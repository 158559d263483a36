//! Patches of marks and counters, put right where the crate's are not.
//!
//! The crate's log adds the marks of one text to those of the text before it: where several texts are
//! marked in one step, a mark may be shown in the wrong one. And it gives no marks to a character that is
//! written anew where one was deleted, as an undo does. Then the marks are worked out anew, from those of
//! before, what the patches insert, and those of after.

use std::collections::{BTreeSet, HashSet};
use std::rc::Rc;

use automerge::legacy::{Key, Op, OpType};
use automerge::marks::Mark;
use automerge::{Automerge, ChangeHash, ObjId, ObjType, Patch, PatchAction, Prop, ReadDoc, Value, ValueRef};

use crate::elements::object;
use crate::error::{guard, Result};
use crate::incoming::Incoming;
use crate::patches::read_marks;
use crate::spans::{self, places, Marks};
use crate::version::At;

/// The texts that changes set marks in.
pub fn marked(changes: &[Incoming]) -> BTreeSet<ObjId> {
    let mut texts = BTreeSet::new();
    for incoming in changes.iter().filter(|incoming| incoming.head.has_marks) {
        for op in incoming.change.decode().operations {
            if matches!(op.action, OpType::MarkBegin(_)) {
                texts.insert(object(&op.obj));
            }
        }
    }
    texts
}

/// Whether changes write a character at the place of another, as an undo of a deletion does, or increment one of several
/// values, which takes the place of those that are no counters.
pub fn rewrites(doc: &Automerge, changes: &[Incoming]) -> bool {
    let is_text = |op: &Op| matches!(doc.object_type(object(&op.obj)), Ok(ObjType::Text));
    changes.iter().filter(|incoming| !incoming.adds_only()).any(|incoming| {
        incoming.change.decode().operations.iter().any(|op| match (&op.action, &op.key) {
            (OpType::Increment(_), _) => op.pred.len() > 1,
            (OpType::Put(_), Key::Seq(_)) => !op.insert && is_text(op),
            _ => false,
        })
    })
}

/// The patches of a step in which these texts were marked.
pub fn step(
    doc: &Automerge,
    before: &[ChangeHash],
    made: Vec<Patch>,
    marked: &BTreeSet<ObjId>,
) -> Result<Vec<Patch>> {
    match marked.len() {
        0 | 1 => Ok(made),
        _ => again(doc, &At::heads_of(before), &At::default(), made, marked),
    }
}

/// The patches between two versions of a document: marks may differ in texts that are `touched`, or any if that is None.
pub fn diff(
    doc: &Automerge,
    before: &[ChangeHash],
    after: &[ChangeHash],
    made: Vec<Patch>,
    touched: Option<BTreeSet<ObjId>>,
) -> Result<Vec<Patch>> {
    let before = At::heads_of(before);
    // Reading the present takes no look at what was when.
    let after = if after == doc.get_heads() { At::default() } else { At::heads_of(after) };
    let texts = match touched {
        None => texts(doc, &after)?,
        Some(touched) => {
            let is_text = |obj: &ObjId| matches!(doc.object_type(obj), Ok(ObjType::Text));
            touched.into_iter().chain(created(&made)).filter(is_text).collect()
        }
    };
    let mut marked = BTreeSet::new();
    for text in texts {
        if !after.marks(doc, &text)?.is_empty() || !before.marks(doc, &text)?.is_empty() {
            marked.insert(text);
        }
    }
    again(doc, &before, &after, made, &marked)
}

fn again(
    doc: &Automerge,
    before: &At,
    after: &At,
    mut made: Vec<Patch>,
    marked: &BTreeSet<ObjId>,
) -> Result<Vec<Patch>> {
    made.retain(|patch| !matches!(patch.action, PatchAction::Mark { .. }));
    let new = created(&made);
    for text in marked {
        let Some(path) = path(doc, text, after)? else {
            continue;
        };
        let mut now = match new.contains(text) {
            true => Vec::new(),
            false => places(&spans::read(doc, text, before)?),
        };
        made.iter().filter(|patch| patch.obj == *text).for_each(|patch| follow(&mut now, &patch.action));
        let wanted = places(&spans::read(doc, text, after)?);
        let marks: Vec<Mark> = spans::strokes(&now, &wanted)
            .into_iter()
            .map(|stroke| Mark::new(stroke.name, stroke.value, stroke.start, stroke.end))
            .collect();
        if !marks.is_empty() {
            made.push(Patch { obj: text.clone(), path, action: PatchAction::Mark { marks } });
        }
    }
    Ok(made)
}

/// The objects that patches show for the first time.
fn created(made: &[Patch]) -> HashSet<ObjId> {
    let mut created = HashSet::new();
    for patch in made {
        match &patch.action {
            PatchAction::PutMap { value: (Value::Object(_), id), .. }
            | PatchAction::PutSeq { value: (Value::Object(_), id), .. } => {
                created.insert(id.clone());
            }
            PatchAction::Insert { values, .. } => {
                created.extend(values.iter().filter(|v| v.0.is_object()).map(|v| v.1.clone()));
            }
            _ => {}
        }
    }
    created
}

/// Where an object is, None if it does not show.
pub fn path(doc: &Automerge, obj: &ObjId, at: &At) -> Result<Option<Vec<(ObjId, Prop)>>> {
    match at.heads() {
        None => visible_path(doc, obj, at),
        // The crate panics where the list that an object lies in was not there yet.
        Some(_) => Ok(guard(|| visible_path(doc, obj, at)).unwrap_or(None)),
    }
}

fn visible_path(doc: &Automerge, obj: &ObjId, at: &At) -> Result<Option<Vec<(ObjId, Prop)>>> {
    let mut path = Vec::new();
    let mut child = obj.clone();
    for parent in at.parents(doc, obj)? {
        // Beside a counter that was incremented later, the crate (0.12.0) takes what shows at some heads for hidden.
        let shows = || {
            at.get(doc, &parent.obj, parent.prop.clone()).map(|found| found.is_some_and(|it| it.1 == child))
        };
        let is_hidden_in_text =
            doc.object_type(&parent.obj)? == ObjType::Text && doc.object_type(&child)? != ObjType::Map;
        if is_hidden_in_text || !(parent.visible || shows()?) {
            return Ok(None);
        }
        child = parent.obj.clone();
        path.push((parent.obj, parent.prop));
    }
    path.reverse();
    Ok(Some(path))
}

/// Let places follow an edit of their text.
fn follow(places: &mut Vec<Option<Rc<Marks>>>, action: &PatchAction) {
    let none = || Some(Rc::new(Marks::new()));
    let (index, delete, insert): (usize, usize, Vec<_>) = match action {
        PatchAction::SpliceText { index, value, marks } => {
            let marks = Some(Rc::new(read_marks(marks.as_ref())));
            (*index, 0, vec![marks; value.make_string().chars().count()])
        }
        PatchAction::DeleteSeq { index, length } => (*index, *length, Vec::new()),
        PatchAction::Insert { index, values } => {
            let each = |value: &Value<'_>| match value {
                Value::Object(ObjType::Map) => vec![None],
                other => vec![none(); other.as_str().map_or(1, |text| text.chars().count())],
            };
            (*index, 0, values.iter().flat_map(|v| each(&v.0)).collect())
        }
        PatchAction::PutSeq { index, value: (Value::Object(ObjType::Map), _), .. } => (*index, 1, vec![None]),
        PatchAction::PutSeq { index, .. } => (*index, 1, vec![none()]),
        _ => return,
    };
    if index + delete <= places.len() {
        places.splice(index..index + delete, insert);
    }
}

/// Every text of a document.
fn texts(doc: &Automerge, at: &At) -> Result<Vec<ObjId>> {
    let mut found = Vec::new();
    let mut ahead = vec![(ObjId::Root, ObjType::Map)];
    while let Some((obj, kind)) = ahead.pop() {
        match kind {
            ObjType::Map | ObjType::Table => {
                let entries = at.entries(doc, &obj);
                ahead.extend(entries.filter_map(|item| Some((item.id(), kind_of(&item.value)?))));
            }
            ObjType::List => {
                let items = at.items(doc, &obj);
                ahead.extend(items.filter_map(|item| Some((item.id(), kind_of(&item.value)?))));
            }
            ObjType::Text => {
                for (index, _) in at.text(doc, &obj)?.chars().enumerate().filter(|(_, c)| *c == spans::BLOCK)
                {
                    ahead.extend(spans::block_at(doc, &obj, index, at)?.map(|id| (id, ObjType::Map)));
                }
                found.push(obj);
            }
        }
    }
    Ok(found)
}

fn kind_of(value: &ValueRef<'_>) -> Option<ObjType> {
    match value {
        ValueRef::Object(kind) => Some(*kind),
        ValueRef::Scalar(_) => None,
    }
}
