//! What is known of a document's changes without asking the crate each time.

use std::collections::HashMap;

use automerge::{ActorId, Automerge, Change};

/// The highest operation of the document, and the last seq of actors.
#[derive(Default)]
pub struct Tracker {
    max_op: Option<u64>,
    seqs: HashMap<ActorId, u64>,
}

impl Tracker {
    /// Forget everything: the document was replaced.
    pub fn forget(&mut self) {
        self.max_op = None;
        self.seqs.clear();
    }

    /// Take note of a change that is now in the document.
    pub fn add(&mut self, change: &Change) {
        if let Some(max_op) = &mut self.max_op {
            *max_op = (*max_op).max(change.max_op());
        }
        if let Some(last) = self.seqs.get_mut(change.actor_id()) {
            *last = (*last).max(change.seq());
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
        if let Some(seq) = self.seqs.get(actor) {
            return *seq;
        }
        let seq = last_seq(doc, actor);
        self.seqs.insert(actor.clone(), seq);
        seq
    }
}

/// The last seq of an actor in a document, whose own actor stays as it was.
pub fn last_seq(doc: &mut Automerge, actor: &ActorId) -> u64 {
    let own = doc.get_actor().clone();
    doc.set_actor(actor.clone());
    let last = doc.get_last_local_change();
    doc.set_actor(own);
    last.map_or(0, |change| change.seq())
}
