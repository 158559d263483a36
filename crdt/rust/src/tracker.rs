//! What is known of a document's changes without asking the crate each time.

use automerge::{ActorId, Automerge, Change, ChangeHash};
use foldhash::HashMap;

/// The highest operation of the document, and the last change of actors.
#[derive(Default)]
pub struct Tracker {
    max_op: Option<u64>,
    last: HashMap<ActorId, Option<Last>>,
}

impl Tracker {
    /// Forget everything: the document was replaced.
    pub fn forget(&mut self) {
        self.max_op = None;
        self.last.clear();
    }

    /// Take note of a change that is now in the document.
    pub fn add(&mut self, actor: &ActorId, last: Last, max_op: u64) {
        if let Some(known) = &mut self.max_op {
            *known = (*known).max(max_op);
        }
        if let Some(known) = self.last.get_mut(actor) {
            *known = (*known).max(Some(last));
        }
    }

    /// The highest operation: every change begins above its past, so a head has it.
    pub fn max_op(&mut self, doc: &Automerge) -> u64 {
        *self.max_op.get_or_insert_with(|| {
            let heads = doc.get_heads();
            let metas = heads.iter().filter_map(|head| doc.get_change_meta_by_hash(head));
            metas.map(|meta| meta.max_op).max().unwrap_or(0)
        })
    }

    /// The last seq of an actor, 0 if it has written nothing.
    pub fn seq(&mut self, doc: &mut Automerge, actor: &ActorId) -> u64 {
        self.last(doc, actor).map_or(0, |last| last.seq)
    }

    /// The last change of an actor.
    pub fn last(&mut self, doc: &mut Automerge, actor: &ActorId) -> Option<Last> {
        if let Some(last) = self.last.get(actor) {
            return *last;
        }
        let last = last_change(doc, actor).as_ref().map(Last::of);
        self.last.insert(actor.clone(), last);
        last
    }

    /// What a local change of an actor builds on: the heads, and its own last change where that is none of them.
    pub fn deps(&mut self, doc: &mut Automerge, actor: &ActorId) -> Vec<ChangeHash> {
        let mut deps = doc.get_heads();
        if let Some(last) = self.last(doc, actor).filter(|last| !deps.contains(&last.hash)) {
            deps.push(last.hash);
            deps.sort_unstable();
        }
        deps
    }
}

/// The last change of an actor, by its number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Last {
    pub seq: u64,
    pub hash: ChangeHash,
}

impl Last {
    pub fn of(change: &Change) -> Self {
        Last { seq: change.seq(), hash: change.hash() }
    }
}

/// The last seq of an actor in a document.
pub fn last_seq(doc: &mut Automerge, actor: &ActorId) -> u64 {
    last_change(doc, actor).map_or(0, |change| change.seq())
}

/// The last change of an actor in a document, whose own actor stays as it was.
fn last_change(doc: &mut Automerge, actor: &ActorId) -> Option<Change> {
    let own = doc.get_actor().clone();
    doc.set_actor(actor.clone());
    let last = doc.get_last_local_change();
    doc.set_actor(own);
    last
}
