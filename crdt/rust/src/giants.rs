//! What is known of large changes, so that not every check has to decode them again.
//!
//! The crate keeps no changes: to read one it collects its operations from the whole document. For a change of 65,536
//! operations that takes longer than to apply another one beside it.

use std::collections::VecDeque;

use automerge::{Automerge, ChangeHash, ReadDoc};

use crate::facts::{Fact, Names};

/// Smaller changes are read again.
const OPERATIONS: u64 = 1_000;

/// Most that are kept, of some 4 MB each.
const MOST: usize = 4;

/// The large changes of a document that were looked into last.
#[derive(Default)]
pub struct Giants {
    known: VecDeque<Giant>,
}

struct Giant {
    hash: ChangeHash,
    start_op: u64,
    names: Names,
    facts: Vec<Fact>,
}

impl Giants {
    /// What the operation of a large change with this counter was; None if the change is not large.
    pub fn fact(
        &mut self,
        doc: &Automerge,
        hash: &ChangeHash,
        counter: u64,
        names: &mut Names,
    ) -> Option<Fact> {
        if !self.known.iter().any(|giant| giant.hash == *hash) {
            let meta = doc.get_change_meta_by_hash(hash)?;
            if meta.max_op - meta.start_op < OPERATIONS {
                return None;
            }
            self.known.truncate(MOST - 1);
            self.known.push_front(Giant::read(doc, hash)?);
        }
        let giant = self.known.iter().find(|giant| giant.hash == *hash)?;
        let fact = giant.facts.get(counter.checked_sub(giant.start_op)? as usize)?;
        Some(names.take(*fact, &giant.names))
    }
}

impl Giant {
    fn read(doc: &Automerge, hash: &ChangeHash) -> Option<Self> {
        let change = doc.get_change_by_hash(hash)?.decode();
        let mut names = Names::default();
        let facts = change.operations.iter().map(|op| names.read(op, change.seq)).collect();
        Some(Giant { hash: *hash, start_op: change.start_op.get(), names, facts })
    }
}
