//! What is known of a document's changes without asking the crate again.

use std::collections::HashMap;

use automerge::{ActorId, Automerge, Change};

/// The highest operation of the document, and the last seq of each of its actors.
#[derive(Default)]
pub struct Tracker {
    known: Option<Known>,
}

#[derive(Default)]
pub struct Known {
    pub max_op: u64,
    seqs: HashMap<ActorId, u64>,
}

impl Tracker {
    /// Forget everything: the document was replaced.
    pub fn forget(&mut self) {
        self.known = None;
    }

    /// Take note of a change that is now in the document.
    pub fn add(&mut self, change: &Change) {
        if let Some(known) = &mut self.known {
            known.add(change.actor_id(), change.seq(), change.max_op());
        }
    }

    /// What is known, read from the document the first time.
    pub fn of(&mut self, doc: &Automerge) -> &Known {
        self.known.get_or_insert_with(|| {
            let mut known = Known::default();
            for meta in doc.get_changes_meta(&[]) {
                known.add(&meta.actor, meta.seq, meta.max_op);
            }
            known
        })
    }
}

impl Known {
    fn add(&mut self, actor: &ActorId, seq: u64, max_op: u64) {
        self.max_op = self.max_op.max(max_op);
        match self.seqs.get_mut(actor) {
            Some(last) => *last = (*last).max(seq),
            None => {
                self.seqs.insert(actor.clone(), seq);
            }
        }
    }

    /// The last seq of an actor, 0 if it has written nothing.
    pub fn seq(&self, actor: &ActorId) -> u64 {
        self.seqs.get(actor).copied().unwrap_or(0)
    }
}
